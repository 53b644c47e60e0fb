package main

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// What a log may hold back: less than one write of a busy server, and no longer
// than an operator would notice.
const (
	logBytes = 32 << 10
	logDelay = 100 * time.Millisecond
)

// logger writes to stderr. The events of requests that went well are written some
// at a time, since a write for each is a good part of what a small answer costs;
// everything else is written at once, with all that was said before it. Whoever
// ends the process calls flush: one that is killed by force may lose the requests
// of the last tenth of a second, and nothing of the audit, which the database keeps.
func (a *app) logger(level slog.Level, format string) (log *slog.Logger, flush func()) {
	out := &gathered{to: a.stderr}
	opts := &slog.HandlerOptions{Level: level}
	var h slog.Handler = slog.NewJSONHandler(out, opts)
	if format == "text" {
		h = slog.NewTextHandler(out, opts)
	}
	return slog.New(urgent{h, out}), out.flush
}

// gathered is a writer that gathers lines for a while.
type gathered struct {
	mu    sync.Mutex
	to    io.Writer
	lines []byte
	timer *time.Timer // runs while there are lines; nil before the first ones
}

// Write takes a line over.
func (g *gathered) Write(line []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.lines) == 0 {
		if g.timer == nil {
			g.timer = time.AfterFunc(logDelay, g.flush)
		} else {
			g.timer.Reset(logDelay)
		}
	}
	g.lines = append(g.lines, line...)
	if len(g.lines) >= logBytes {
		g.write()
	}
	return len(line), nil
}

func (g *gathered) flush() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.write()
}

// write writes what was gathered; a log that cannot be written has nowhere to say so.
func (g *gathered) write() {
	if len(g.lines) > 0 {
		_, _ = g.to.Write(g.lines)
		g.lines = g.lines[:0]
	}
}

// urgent writes at once what is not the everyday.
type urgent struct {
	slog.Handler
	out *gathered
}

func (u urgent) Handle(ctx context.Context, r slog.Record) error {
	err := u.Handler.Handle(ctx, r)
	if r.Level > slog.LevelInfo || r.Message != web.RequestEvent {
		u.out.flush()
	}
	return err
}

func (u urgent) WithAttrs(attrs []slog.Attr) slog.Handler {
	return urgent{u.Handler.WithAttrs(attrs), u.out}
}

func (u urgent) WithGroup(name string) slog.Handler { return urgent{u.Handler.WithGroup(name), u.out} }
