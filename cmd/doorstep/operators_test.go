package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
)

// operator returns an app with a token for a server, and what it says.
func operator() (a *app, said *bytes.Buffer) {
	said = &bytes.Buffer{}
	return &app{stdin: os.Stdin, stdout: io.Discard, stderr: said, now: time.Now, environ: []string{"DOORSTEP_TOKEN=opens"}}, said
}

// A redirect must not lead the token elsewhere, nor what is sent with it.
func TestATokenGoesToItsServerOnly(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s %s was followed there", r.Method, r.URL)
	}))
	defer elsewhere.Close()
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if got := r.Header.Get("Authorization"); got != "Bearer opens" {
			t.Errorf("Authorization %q", got)
		}
		if got := r.Header.Get("User-Agent"); !strings.HasPrefix(got, "doorstep/") {
			t.Errorf("User-Agent %q", got)
		}
		http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	a, said := operator()
	if code := a.run([]string{"client", "delete", "shop", "--server", server.URL}); code != exitUsage || asked != 1 {
		t.Errorf("exit code %d after %d requests, want %d after 1: %s", code, asked, exitUsage, said)
	}
	if !strings.Contains(said.String(), "307") || strings.Contains(said.String(), "opens") {
		t.Errorf("said %q", said)
	}
}

// What another server answers is not taken for the API's, and not read without end.
func TestOnlyTheAPIIsBelieved(t *testing.T) {
	problem := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
	}
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		code   int
		says   string
	}{
		"a page":      {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<p>Welcome") }, exitUsage, "as no operators' API does"},
		"a proxy":     {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "bad", http.StatusBadGateway) }, exitUsage, "answers 502 Bad Gateway"},
		"no problem":  {problem(http.StatusBadRequest, "["), exitUsage, "as no operators' API does"},
		"no end":      {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.CopyN(w, spaces{}, maxPage+1) }, exitFailure, "it answers with more than"},
		"its failure": {problem(http.StatusInternalServerError, `{"detail": "something went wrong here", "request_id": "ABC"}`), exitFailure, "the server's log has it under ABC"},
		"a race":      {problem(http.StatusPreconditionFailed, `{"errors": [{"field": "If-Match", "detail": "is not the ETag"}]}`), exitFailure, "somebody else changed it at this moment"},
		"no detail":   {problem(http.StatusRequestEntityTooLarge, `{"title": "Request Entity Too Large"}`), exitFailure, "doorstep: Request Entity Too Large\n"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(tc.answer)
			defer server.Close()
			a, said := operator()
			if code := a.run([]string{"client", "show", "shop", "--server", server.URL}); code != tc.code || !strings.Contains(said.String(), tc.says) {
				t.Errorf("exit code %d, said %q, want %d and %q", code, said, tc.code, tc.says)
			}
		})
	}
}

// spaces is blank without end.
type spaces struct{}

func (spaces) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = ' '
	}
	return len(b), nil
}

// Who walks along the chain of a server waits where that asks for it, and no longer than a
// request may take.
func TestAWalkWaitsWhereItIsAskedTo(t *testing.T) {
	for retry, want := range map[string][]time.Duration{"7": {7 * time.Second, 7 * time.Second}, "3600": nil, "": nil, "-1": nil} {
		asked := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked <= 2 {
				w.Header().Set("Content-Type", "application/problem+json")
				w.Header().Set("Retry-After", retry)
				w.WriteHeader(http.StatusTooManyRequests)
				fmt.Fprint(w, `{"title": "Too Many Requests", "code": "too_many"}`)
				return
			}
			fmt.Fprint(w, `{"items": []}`)
		}))
		defer server.Close()
		var waited []time.Duration
		c := &chainThere{o: &operators{base: server.URL, http: server.Client(), server: server.URL}, wait: func(_ context.Context, d time.Duration) error {
			waited = append(waited, d)
			return nil
		}}
		rows, err := c.ChainedEvents(t.Context(), 0, 10)
		if len(rows) != 0 || (err == nil) != (want != nil) || !slices.Equal(waited, want) {
			t.Errorf("Retry-After %q: waited %v, %v", retry, waited, err)
		}
	}
}

// Who asks for ever to be asked again, or has ever another page, is not listened to for ever.
func TestAServerIsNotAskedForEver(t *testing.T) {
	waits, asked := 0, 0
	wait := func(context.Context, time.Duration) error {
		waits++
		return nil
	}
	for name, tc := range map[string]struct {
		code int
		body string
		ask  func(*chainThere) error
		says string
	}{
		"come later": {http.StatusTooManyRequests, `{"title": "Too Many Requests"}`, func(c *chainThere) error {
			_, err := c.State(t.Context())
			return err
		}, "100 times in a row"},
		"one more page": {http.StatusOK, `{"items": [], "next": "https://x.example/?cursor=1"}`, func(c *chainThere) error {
			return c.Restores(t.Context(), time.Time{}, func(events.Restore) bool { return true })
		}, "goes on after 1000 pages"},
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if asked++; asked > 2000 {
				tc.code = http.StatusTeapot
			}
			w.Header().Set("Content-Type", "application/problem+json")
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(tc.code)
			fmt.Fprint(w, tc.body)
		}))
		err := tc.ask(newChainThere(&operators{base: server.URL, http: server.Client(), server: server.URL}, wait))
		server.Close()
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: after %d requests and %d waits: %v", name, asked, waits, err)
		}
	}
}

// At the database the operator is told why something failed: there is no log elsewhere.
func TestTheOperatorAtTheDatabaseIsToldTheCause(t *testing.T) {
	var last failure
	log := slog.New(&last)
	o := &operators{base: "http://localhost/api/v1", http: &http.Client{Transport: &direct{http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		log.Info("request", "error", "nothing much")
		log.Error("request", "error", "the disk is full")
		w.WriteHeader(http.StatusInternalServerError)
	}), &last}}}
	err := o.get(t.Context(), "/clients", nil)
	if err == nil || message(err) != "the disk is full" {
		t.Errorf("said %v", err)
	}
}
