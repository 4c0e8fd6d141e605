package kongsim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

func contextWithTimeout(t *testing.T, timeout time.Duration) (context.Context, context.CancelFunc) {
	t.Helper()
	return context.WithTimeout(t.Context(), timeout)
}

func TestFaultOfStatus(t *testing.T) {
	a := startAdmin(t, Options{})
	a.Faults.Set(1, Fault{Methods: []string{"POST", "PUT"}, PathPrefix: "/consumers", Count: 2, Status: 503, RetryAfter: 3 * time.Second})
	a.must(t, "GET", "/consumers", "")
	a.must(t, "POST", "/services", `{"host":"h"}`)
	for range 2 {
		response, content, err := a.send(t.Context(), "POST", "/consumers", `{"username":"x"}`)
		if err != nil || response.StatusCode != 503 || response.Header.Get("Retry-After") != "3" {
			t.Fatalf("%v %v %s", err, response, content)
		}
	}
	a.must(t, "POST", "/consumers", `{"username":"x"}`) // the third, and none was made before
}

func TestFaultOfConnection(t *testing.T) {
	a := startAdmin(t, Options{})
	for _, tt := range []struct {
		fault     Fault
		processed bool
	}{{Fault{ResetBefore: true}, false}, {Fault{ResetAfter: true}, true}, {Fault{Hang: true}, true}} {
		tt.fault.Methods = []string{"PUT"}
		a.Faults.Set(1, tt.fault)
		ctx, cancel := contextWithTimeout(t, 300*time.Millisecond)
		_, _, err := a.send(ctx, "PUT", "/consumers/x", `{}`)
		if err == nil || tt.fault.Hang != errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%+v: %v", tt.fault, err)
		}
		cancel()
		a.Faults.Set(0)
		if status, _ := a.do(t, "GET", "/consumers/x", ""); (status == 200) != tt.processed {
			t.Errorf("%+v: processed is %v", tt.fault, status == 200)
		}
		a.must(t, "DELETE", "/consumers/x", "")
	}
}

func TestFaultByChanceIsRepeatable(t *testing.T) {
	a := startAdmin(t, Options{})
	outcome := func() string {
		a.Faults.Set(7, Fault{Probability: 0.5, Status: 500})
		var b strings.Builder
		for range 40 {
			status, _ := a.do(t, "GET", "/status", "")
			b.WriteString(http.StatusText(status)[:1])
		}
		return b.String()
	}
	first := outcome()
	if second := outcome(); first != second || !strings.Contains(first, "O") || !strings.Contains(first, "I") {
		t.Errorf("%s, then %s", first, second)
	}
}

func TestFaultOfLatency(t *testing.T) {
	a := startAdmin(t, Options{})
	a.Faults.Set(1, Fault{PathPrefix: "/status", Latency: time.Hour})
	ctx, cancel := contextWithTimeout(t, 50*time.Millisecond)
	defer cancel()
	if _, _, err := a.send(ctx, "GET", "/status", ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	a.must(t, "GET", "/consumers", "")
}

func TestDatabaseDown(t *testing.T) {
	a := startAdmin(t, Options{})
	reachable := func() any {
		database, _ := a.must(t, "GET", "/status", "")["database"].(object)
		return database["reachable"]
	}
	a.Faults.SetDatabaseDown(true)
	status, answer := a.do(t, "GET", "/consumers", "")
	if status != 500 || answer["message"] != "An unexpected error occurred" || reachable() != false {
		t.Errorf("%d %v, reachable %v", status, answer, reachable())
	}
	a.must(t, "GET", "/schemas/consumers", "")
	a.Faults.SetDatabaseDown(false)
	a.must(t, "GET", "/consumers", "")
	if reachable() != true {
		t.Error("still unreachable")
	}
}

func TestAdminGoesAndComesBack(t *testing.T) {
	a := startAdmin(t, Options{})
	url := a.AdminURL()
	a.must(t, "PUT", "/consumers/john", `{}`)
	if err := a.StopAdmin(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.send(t.Context(), "GET", "/status", ""); err == nil {
		t.Error("it answers")
	}
	response, err := a.client.Get(a.ProxyURL())
	if err != nil || response.StatusCode != http.StatusNotFound {
		t.Fatalf("the proxy: %v", err)
	}
	_ = response.Body.Close()
	if err := a.StartAdmin(); err != nil {
		t.Fatal(err)
	}
	if a.AdminURL() != url {
		t.Errorf("back at %s, was at %s", a.AdminURL(), url)
	}
	a.must(t, "GET", "/consumers/john", "")
}

func TestRequestsAreLoggedWithoutSecrets(t *testing.T) {
	a := startAdmin(t, Options{})
	a.must(t, "PUT", "/consumers/john", `{}`)
	a.must(t, "POST", "/consumers/john/jwt", `{"key":"k","secret":"canary"}`)
	a.do(t, "DELETE", "/consumers/john/jwt/none", "")
	a.must(t, "GET", "/status", "")
	if got := a.CountWrites(); got != 3 {
		t.Errorf("%d writes", got)
	}
	var statuses []int
	for _, r := range a.Requests() {
		statuses = append(statuses, r.Status)
		if strings.Contains(r.Path, "canary") {
			t.Errorf("%+v", r)
		}
	}
	if len(statuses) != 4 || statuses[0] != 200 || statuses[1] != 201 || statuses[2] != 404 || statuses[3] != 200 {
		t.Errorf("%v", statuses)
	}
	a.ResetRequests()
	if a.CountWrites() != 0 {
		t.Error("not forgotten")
	}
}

func TestPace(t *testing.T) {
	p := newPace(5*time.Millisecond, 1000)
	now := time.Unix(100, 0)
	for i := range 10 {
		if got, want := p.turn(now), time.Duration(i)*time.Millisecond; got != want {
			t.Errorf("request %d waits %s, want %s", i, got, want)
		}
	}
	if got := p.turn(now.Add(time.Second)); got != 0 {
		t.Errorf("after a while: %s", got)
	}
}

func TestControl(t *testing.T) {
	a := startAdmin(t, Options{})
	control, err := listen("127.0.0.1:0", &http.Server{Handler: a.ControlHandler()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = control.close() })
	send := func(method, path, body string) (int, string) {
		request, err := http.NewRequestWithContext(t.Context(), method, "http://"+control.listener.Addr().String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := a.client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		content, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return response.StatusCode, string(content)
	}
	if status, text := send("PUT", "/faults", `{"faults":[{"methods":["GET"],"pathPrefix":"/consumers","status":429,"retryAfter":"2s","latency":"1ms"}]}`); status != 204 {
		t.Fatalf("%d %s", status, text)
	}
	if status, _ := a.do(t, "GET", "/consumers", ""); status != 429 {
		t.Errorf("with a fault: %d", status)
	}
	send("DELETE", "/faults", "")
	a.must(t, "GET", "/consumers", "")
	if status, text := send("GET", "/requests", ""); status != 200 || !strings.Contains(text, `"Path":"/consumers","Status":429`) {
		t.Errorf("%d %s", status, text)
	}
	for _, body := range []string{`{"faults":[{"latency":"soon"}]}`, `{"nope":1}`, `{"faults":[{"status":1}]}`} {
		if status, _ := send("PUT", "/faults", body); status != 400 {
			t.Errorf("%s: %d", body, status)
		}
	}
	send("DELETE", "/admin", "")
	if _, _, err := a.send(t.Context(), "GET", "/status", ""); err == nil {
		t.Error("the Admin API is there")
	}
	if status, text := send("PUT", "/admin", ""); status != 204 {
		t.Fatalf("%d %s", status, text)
	}
	a.must(t, "GET", "/status", "")
	if status, _ := a.do(t, "GET", "/faults", ""); status != 404 {
		t.Errorf("the Admin API answers /faults: %d", status)
	}
}
