// Command reread-secret calls a service with the token of a mounted Secret, which it reads anew for each request.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// rereading sends what the file holds now. The kubelet replaces the file when the Secret changes.
type rereading struct{ path string }

// RoundTrip implements http.RoundTripper.
func (r rereading) RoundTrip(request *http.Request) (*http.Response, error) {
	content, err := os.ReadFile(r.path)
	if err != nil {
		return nil, err
	}
	request = request.Clone(request.Context())
	request.Header.Set("Authorization", strings.TrimSpace(string(content)))
	return http.DefaultTransport.RoundTrip(request)
}

func main() {
	client := &http.Client{Transport: rereading{os.Getenv("AUTHORIZATION_FILE")}, Timeout: 10 * time.Second}
	for range time.Tick(200 * time.Millisecond) {
		response, err := client.Get(os.Getenv("SERVICE_URL"))
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		_ = response.Body.Close()
		fmt.Println(response.StatusCode)
	}
}
