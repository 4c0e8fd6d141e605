package clitest

import (
	"strings"
	"sync"
)

// Screen is an output that is written to and read at once.
type Screen struct {
	mu   sync.Mutex
	text strings.Builder
}

func (s *Screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

func (s *Screen) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
