package main

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/doorstep-id/doorstep/provider/web"
)

// written counts writes and keeps what they said.
type written struct {
	mu    sync.Mutex
	text  bytes.Buffer
	times int
}

func (w *written) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.times++
	return w.text.Write(b)
}

func (w *written) lines() (lines, writes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return strings.Count(w.text.String(), "\n"), w.times
}

func wantLines(t *testing.T, out *written, when string, lines, writes int) {
	t.Helper()
	if l, w := out.lines(); l != lines || w != writes {
		t.Errorf("%s: %d lines in %d writes, want %d in %d", when, l, w, lines, writes)
	}
}

// Requests that went well wait for each other, a moment at the most; whatever else
// is said does not, and what was said before it comes before it.
func TestTheLogGathersTheEveryday(t *testing.T) {
	for _, format := range []string{"json", "text"} {
		synctest.Test(t, func(t *testing.T) {
			out := &written{}
			log, flush := (&app{stderr: out}).logger(slog.LevelInfo, format)
			log = log.With(slog.String("by", "test")).WithGroup("of")
			log.Info(web.RequestEvent, slog.Int("n", 1))
			log.Info(web.RequestEvent, slog.Int("n", 2))
			wantLines(t, out, "two requests", 0, 0)
			time.Sleep(logDelay)
			synctest.Wait()
			wantLines(t, out, "a tenth of a second later", 2, 1)
			log.Info(web.RequestEvent, slog.Int("n", 3))
			log.Info("draining")
			wantLines(t, out, "another event", 4, 2)
			log.Info(web.RequestEvent, slog.Int("n", 4))
			log.Warn(web.RequestEvent, slog.Int("n", 5))
			wantLines(t, out, "a request to be looked at", 6, 3)
			log.Info(web.RequestEvent, slog.Int("n", 6))
			flush()
			flush()
			wantLines(t, out, "the end", 7, 4)
			before, _, _ := strings.Cut(out.text.String(), "draining")
			if n := strings.Count(before, web.RequestEvent); n != 3 {
				t.Errorf("%d requests before the drain, want 3:\n%s", n, out.text.String())
			}
		})
	}
}

// A busy server holds back no more than a write's worth, and every line stays whole.
func TestTheLogHoldsBackOnlySoMuch(t *testing.T) {
	out := &written{}
	log, flush := (&app{stderr: out}).logger(slog.LevelInfo, "json")
	const each, crowd = 500, 8
	var all sync.WaitGroup
	for range crowd {
		all.Go(func() {
			for range each {
				log.Info(web.RequestEvent, slog.String("route", strings.Repeat("x", 100)))
			}
		})
	}
	all.Wait()
	if l, _ := out.lines(); l < each*crowd-2*logBytes/150 {
		t.Errorf("%d of %d lines are out: the rest is more than may be held back", l, each*crowd)
	}
	flush()
	if l, w := out.lines(); l != each*crowd || w > each*crowd/10 {
		t.Errorf("%d lines in %d writes", l, w)
	}
	for line := range strings.Lines(out.text.String()) {
		if !strings.HasPrefix(line, `{"time":`) || !strings.HasSuffix(line, "\"}\n") {
			t.Fatalf("a torn line: %q", line)
		}
	}
}
