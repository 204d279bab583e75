package serve

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"
)

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

const (
	logBuffer = 256 << 10              // bytes that may wait
	logDelay  = 100 * time.Millisecond // how long
)

// Log is the server's log. Lines are gathered and written some ten times a second, so that a request does not pay
// for a system call; an error's line is written at once, with all before it.
type Log struct {
	*slog.Logger
	out *logWriter
}

// OpenLog opens the log; stderr is used where no file is named. The caller runs Run beside the server, and Close
// at the end.
func OpenLog(c LogConfig, stderr io.Writer) (*Log, error) {
	out := &logWriter{path: c.File, to: stderr, wake: make(chan struct{}, 1)}
	if err := out.reopen(); err != nil {
		return nil, err
	}
	options := &slog.HandlerOptions{Level: levels[c.Level]}
	var h slog.Handler = slog.NewTextHandler(out, options)
	if c.Format == "json" {
		h = slog.NewJSONHandler(out, options)
	}
	return &Log{Logger: slog.New(&urgent{h, out}), out: out}, nil
}

// Run writes what was gathered until ctx ends.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return l.out.flush()
		case <-l.out.wake: // the first line after a silence
		}
		select {
		case <-ctx.Done():
		case <-time.After(logDelay):
		}
		_ = l.out.flush() // a log that cannot be written has nowhere to say so, and must not stop the server
	}
}

// Reopen goes on in a new file of the same name, after the old was moved away. Without a file it only writes out.
func (l *Log) Reopen() error { return l.out.reopen() }

// Close writes out and closes the file. The log may still be used, and then writes through.
func (l *Log) Close() error { return l.out.close() }

// urgent writes out after errors.
type urgent struct {
	slog.Handler
	out *logWriter
}

func (u *urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level >= slog.LevelError {
		_ = u.out.flush()
	}
	return err
}

func (u *urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &urgent{u.Handler.WithAttrs(attrs), u.out}
}
func (u *urgent) WithGroup(name string) slog.Handler {
	return &urgent{u.Handler.WithGroup(name), u.out}
}

// logWriter gathers lines in one buffer while the other is being written; a writer waits only where both are full.
type logWriter struct {
	path string
	wake chan struct{}

	mu     sync.Mutex // guards lines
	lines  []byte
	closed bool

	writing sync.Mutex // guards to, file and spare; taken before mu
	to      io.Writer
	file    *os.File
	spare   []byte
}

func (w *logWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	full, first := len(w.lines)+len(line) > logBuffer || w.closed, len(w.lines) == 0
	w.lines = append(w.lines, line...)
	w.mu.Unlock()
	if full {
		return len(line), w.flush()
	}
	if first {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return len(line), nil
}

func (w *logWriter) flush() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.flushHeld()
}

func (w *logWriter) flushHeld() error {
	w.mu.Lock()
	lines := w.lines
	w.lines = w.spare[:0]
	w.mu.Unlock()
	w.spare = lines
	if len(lines) == 0 {
		return nil
	}
	_, err := w.to.Write(lines)
	return err
}

func (w *logWriter) reopen() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	if w.path == "" {
		return w.flushHeld()
	}
	file, err := os.OpenFile(w.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o640) //nolint:gosec // the operator names it
	if err != nil {
		return fmt.Errorf("open the log: %w", err)
	}
	err = w.flushHeld()
	if w.file != nil {
		_ = w.file.Close()
	}
	w.file, w.to = file, file
	return err
}

func (w *logWriter) close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.writing.Lock()
	defer w.writing.Unlock()
	err := w.flushHeld()
	if w.file == nil {
		return err
	}
	closing := w.file.Close()
	w.file, w.to = nil, os.Stderr
	if err != nil {
		return err
	}
	return closing
}
