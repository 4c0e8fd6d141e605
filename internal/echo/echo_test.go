package echo

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

func TestEcho(t *testing.T) {
	s, err := Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.URL()+"/a%2Fb?x=1", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Add("X-One", "1")
	request.Header.Add("X-One", "2")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var seen Request
	if err := json.NewDecoder(response.Body).Decode(&seen); err != nil {
		t.Fatal(err)
	}
	if seen.Method != http.MethodPut || seen.Path != "/a%2Fb?x=1" || seen.Headers["X-One"] != "1, 2" || seen.Host != strings.TrimPrefix(s.URL(), "http://") {
		t.Errorf("echoed %+v", seen)
	}
	if response.Header.Get(Marker) == "" || s.Seen() != 1 || s.Host() != "127.0.0.1" || s.Port() == 0 {
		t.Errorf("marker %q, %d requests, %s:%d", response.Header.Get(Marker), s.Seen(), s.Host(), s.Port())
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := http.Get(s.URL()); err == nil {
		t.Error("it answers after Close")
	}
}
