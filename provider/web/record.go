package web

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"
	"unicode"
)

// Record gathers what there is to tell of one request. It is safe for
// concurrent use; a nil Record forgets everything.
type Record struct {
	mu        sync.Mutex
	attrs     []slog.Attr
	err       error
	diagnosis *Diagnosis
}

// Log returns the record of the request in ctx, nil outside of one.
func Log(ctx context.Context) *Record {
	if s, ok := ctx.Value(stateKey{}).(*state); ok {
		return &s.record
	}
	return nil
}

// A value longer than this tells no more and fills the log.
const maxLogged = 2048

// Set adds a field to the request's event, or replaces it. The value must be no
// secret, no address and no user agent.
func (l *Record) Set(key string, value any) {
	if l == nil {
		return
	}
	if s, ok := value.(string); ok {
		value = shorten(s)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.attrs {
		if l.attrs[i].Key == key {
			l.attrs[i].Value = slog.AnyValue(value)
			return
		}
	}
	if l.attrs == nil {
		l.attrs = make([]slog.Attr, 0, 8) // as many as a token request has
	}
	l.attrs = append(l.attrs, slog.Any(key, value))
}

// Diagnose adds what would mend the request to its event, for answers that are
// no error of the handler (a redirect with an OAuth error).
func (l *Record) Diagnose(d Diagnosis) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.diagnosis = &d
}

// Fail adds the error that the request ended with to its event, for a surface that
// writes it by itself.
func (l *Record) Fail(err error) {
	if l == nil {
		return
	}
	if d := diagnosisOf(err); d != nil {
		l.Diagnose(*d)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err = err
}

// RequestEvent is the message of a request's one event.
const RequestEvent = "request"

// level is how much a request's event matters.
func (l *Record) level(route Route, status int) slog.Level {
	switch {
	case status >= http.StatusInternalServerError:
		return slog.LevelError
	case l.diagnosis != nil: // somebody has something to mend
		return slog.LevelWarn
	case route.Document && status < http.StatusBadRequest && l.err == nil && len(l.attrs) == 0:
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// logRequest writes the one event of a request: the route's template, never the
// path or the query. It is given to the log's handler as it is: where in the code
// it was said, which the log would look up, is here for all of them.
func (w *Web) logRequest(r *http.Request, s *state, route Route, began time.Time, took time.Duration) {
	s.record.mu.Lock()
	defer s.record.mu.Unlock()
	status := s.out.status()
	level := s.record.level(route, status)
	if !w.log.Enabled(s, level) {
		return
	}
	event := slog.NewRecord(began.Add(took), level, RequestEvent, 0)
	attrs := append(make([]slog.Attr, 0, 10+len(s.record.attrs)),
		slog.String("request_id", s.id[0]),
		slog.String("method", methodLabel(r.Method)),
		slog.String("route", route.Path),
		slog.Int("status", status),
		slog.Float64("ms", float64(took.Microseconds())/1000),
		slog.String("address", w.hidden(s.address.String())),
		slog.String("agent", w.hidden(r.UserAgent())),
	)
	if s.span != nil {
		attrs = append(attrs, slog.String("trace_id", TraceID(s)))
	}
	attrs = append(attrs, s.record.attrs...)
	if err := s.record.err; err != nil {
		attrs = append(attrs, slog.String("error", shorten(err.Error())))
	}
	if d := s.record.diagnosis; d != nil {
		attrs = append(attrs, slog.Any("diagnosis", d))
	}
	event.AddAttrs(attrs...)
	_ = w.log.Handler().Handle(s, event) // a log that cannot be written has nowhere to say so
}

// hidden is a keyed hash: the same address can be followed through the log and
// cannot be guessed from it.
func (w *Web) hidden(s string) string {
	if s == "" {
		return ""
	}
	return w.hides.of(s, func() string { return base64.RawURLEncoding.EncodeToString(mac(w.logKey, s)[:9]) })
}

// hides remembers what stands for whom: the same few clients ask all day.
type hides struct {
	mu   sync.Mutex
	made map[string]string
}

const (
	hidesMax    = 1024
	hidesLength = 256 // of what is worth a place
)

func (h *hides) of(s string, mac func() string) string {
	if len(s) > hidesLength {
		return mac()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	out, ok := h.made[s]
	if !ok {
		if h.made == nil || len(h.made) >= hidesMax {
			h.made = map[string]string{}
		}
		out = mac()
		h.made[strings.Clone(s)] = out
	}
	return out
}

// shorten makes text from outside fit for the log: not too long, and with
// nothing in it that a terminal obeys. JSON escapes the controls below U+0020
// alone: U+009B begins a sequence like ESC [, U+202E turns the line around.
func shorten(s string) string {
	if len(s) > maxLogged {
		s = s[:maxLogged] + "…"
	}
	s = strings.ToValidUTF8(s, "\uFFFD")
	if !strings.ContainsFunc(s, unseen) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unseen(r) {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// unseen spares those that JSON escapes.
func unseen(r rune) bool { return r >= ' ' && !unicode.IsPrint(r) }
