package main

import (
	"slices"

	"github.com/go-logr/logr"
)

// lazySink keeps what a logger is to say with each line until it says one. zap writes it down at once, and each
// reconcile has a logger of its own, of which hardly any says something.
type lazySink struct {
	logr.LogSink
	values []any
}

// lazily is a logger that says the same.
func lazily(log logr.Logger) logr.Logger { return logr.New(lazySink{LogSink: log.GetSink()}) }

// Init implements logr.LogSink. The sink below was initialized by its own logger.
func (s lazySink) Init(logr.RuntimeInfo) {}

// WithValues implements logr.LogSink.
func (s lazySink) WithValues(values ...any) logr.LogSink {
	return lazySink{s.LogSink, s.with(values)}
}

// WithName implements logr.LogSink.
func (s lazySink) WithName(name string) logr.LogSink {
	return lazySink{s.LogSink.WithName(name), s.values}
}

// Info implements logr.LogSink.
func (s lazySink) Info(level int, message string, values ...any) {
	s.LogSink.Info(level, message, s.with(values)...)
}

// Error implements logr.LogSink.
func (s lazySink) Error(err error, message string, values ...any) {
	s.LogSink.Error(err, message, s.with(values)...)
}

func (s lazySink) with(values []any) []any { return append(slices.Clip(s.values), values...) }
