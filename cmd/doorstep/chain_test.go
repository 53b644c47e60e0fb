package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	command "github.com/doorstep-id/doorstep/cmd/doorstep"
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// far is a server whose chain is verified from far away, by way of somebody who may do
// something before each request is served, and to what is answered.
type far struct {
	*providertest.P
	database string
	server   *httptest.Server
	token    string
	requests int
	before   func(request int)
	instead  func(w http.ResponseWriter, path string) bool // false: it did not answer
	meddle   func(path string, answer map[string]any)
}

func startFar(t *testing.T) *far {
	t.Helper()
	f := &far{database: providertest.SQLite(t)}
	f.P = providertest.Start(t, providertest.On(f.database))
	f.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.requests++
		if f.before != nil {
			f.before(f.requests)
		}
		if f.instead != nil && f.instead(w, strings.TrimPrefix(r.URL.Path, "/api/v1/events")) {
			return
		}
		r.Header.Set("Authorization", "Bearer "+f.token) // which may have been renewed
		out := httptest.NewRecorder()
		f.Handler.ServeHTTP(out, r)
		body := out.Body.Bytes()
		if f.meddle != nil && out.Code == http.StatusOK {
			var answer map[string]any
			decoder := json.NewDecoder(out.Body)
			decoder.UseNumber()
			if err := decoder.Decode(&answer); err != nil {
				t.Errorf("%s: %v", r.URL, err)
			}
			f.meddle(strings.TrimPrefix(r.URL.Path, "/api/v1/events/chain"), answer)
			body, _ = json.Marshal(answer) // what was just decoded
		}
		for name, values := range out.Header() {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		w.WriteHeader(out.Code)
		_, _ = w.Write(body)
	}))
	t.Cleanup(f.server.Close)
	f.renew(t)
	return f
}

// renew gets a token that opens the chain for a day.
func (f *far) renew(t *testing.T) {
	t.Helper()
	token, err := f.OperatorToken(t.Context(), []string{clients.ScopeEventsRead}, clients.MaxOperatorToken)
	if err != nil {
		t.Fatal(err)
	}
	f.token = token.Text
}

// tell records n events and chains them.
func (f *far) tell(t *testing.T, n int) {
	t.Helper()
	for i := range n {
		if err := f.Events.Record(t.Context(), events.Event{Kind: events.KeyRotated, Actor: events.ActorOperator, Data: map[string]any{"turn": i}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Events.Sequence(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// sign keeps a head, and returns a file with one that is kept elsewhere, and its number.
func (f *far) sign(t *testing.T) (file string, number int64) {
	t.Helper()
	if err := f.Events.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	head, err := f.Events.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "head.jws")
	if err := os.WriteFile(file, []byte(head.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	return file, head.Number
}

// signer is the key that signs heads, as the API tells it.
func (f *far) signer(t *testing.T) map[string]any {
	t.Helper()
	head, err := f.Events.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Keys.RecordKeys(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		if k.KID == head.Key.KID {
			return map[string]any{"kid": k.KID, "jwk": json.RawMessage(k.JWK)}
		}
	}
	t.Fatal("the key that signed is not told")
	return nil
}

func (f *far) verify(t *testing.T, args ...string) (code int, printed, said string) {
	t.Helper()
	f.requests = 0
	return command.Run(f.Clock.Now, []string{"DOORSTEP_TOKEN=" + f.token}, append([]string{"events", "verify", "--server", f.server.URL}, args...))
}

// However the chain grows while it is verified from far away, it holds, and so do heads
// of what was walked already that are signed meanwhile, by a key that there was not before.
func TestAChainThatGrowsIsVerifiedFarAway(t *testing.T) {
	f := startFar(t)
	grow := func() {
		f.tell(t, 2)
		f.sign(t)
	}
	succeed := func() {
		if _, err := f.RevokeKey(t.Context(), f.signer(t)["kid"].(string), events.ActorOperator); err != nil {
			t.Fatal(err)
		}
		f.Clock.Advance(10 * time.Second) // it is known by now
		f.sign(t)
		f.renew(t)
	}
	for name, meanwhile := range map[string]func(){"events": grow, "another key": succeed} {
		places := 0
		for place := 1; ; place++ {
			f.tell(t, 3)
			f.renew(t)
			happened := false
			f.before = func(request int) {
				if request == place {
					happened = true
					f.Clock.Advance(time.Hour) // a head is due
					meanwhile()
				}
			}
			if code, printed, said := f.verify(t); code != 0 || !strings.Contains(printed, "holds ") {
				t.Errorf("%s before request %d: exit code %d, %s%s", name, place, code, printed, said)
			}
			if !happened {
				break
			}
			places++
		}
		if places < 5 {
			t.Errorf("%s at %d places", name, places)
		}
	}
}

// A walk from far away goes page by page. Where its token ends it stops, says how far
// it came, and goes on from there with another one.
func TestAWalkFarAwaySaysWhereItStopped(t *testing.T) {
	f := startFar(t)
	f.tell(t, events.MaxLinks*2+10)
	head, last := f.sign(t)
	links := 0
	f.meddle = func(path string, answer map[string]any) {
		if path == "/links" {
			links++
			if n := len(answer["items"].([]any)); n > events.MaxLinks {
				t.Errorf("a page of %d", n)
			}
		}
	}
	if code, printed, said := f.verify(t); code != 0 || links != 3 {
		t.Fatalf("exit code %d after %d pages: %s%s", code, links, printed, said)
	}
	links = 0
	f.before = func(int) {
		if links == 2 {
			f.Clock.Advance(clients.MaxOperatorToken + time.Minute)
		}
	}
	code, printed, said := f.verify(t)
	_, from, found := strings.Cut(said, fmt.Sprintf("DOORSTEP_TOKEN: The access token is not valid here, or no longer.\nEvents 1 to %d of %d hold. Go on with --from ", 2*events.MaxLinks, last))
	if code != 1 || printed != "" || !found {
		t.Fatalf("exit code %d, printed %q, said %q", code, printed, said)
	}
	from = strings.TrimSpace(from)
	f.before, links = nil, 0
	f.renew(t)
	code, printed, said = f.verify(t, "--from", from, "--head", head)
	if code != 0 || links != 1 || !strings.Contains(printed, fmt.Sprintf("events        %d to %d\n", 2*events.MaxLinks+1, last)) {
		t.Errorf("it went on: exit code %d after %d pages: %s%s", code, links, printed, said)
	}
	number, hash, _ := strings.Cut(from, ":")
	for _, wrong := range []string{number, from + "A", "x" + from, "0:" + hash} {
		if code, _, said := f.verify(t, "--from", wrong); code != 2 || !strings.Contains(said, "--from must be what a walk said where it stopped") {
			t.Errorf("--from %s: exit code %d, %s", wrong, code, said)
		}
	}
}

// Who verifies from far away takes no word of the server for it: what was changed on the
// way is named, and a chain that was made anew is told by a head that was kept elsewhere.
func TestNoServersWordIsTakenForItsChain(t *testing.T) {
	f := startFar(t)
	f.tell(t, 5)
	f.Clock.Advance(time.Hour)
	f.sign(t)
	f.tell(t, 4)
	head, last := f.sign(t)
	items := func(answer map[string]any) []any { return answer["items"].([]any) }
	link := func(path string, answer map[string]any, number int) map[string]any {
		if path != "/links" || len(items(answer)) < number {
			return map[string]any{}
		}
		return items(answer)[number-1].(map[string]any)
	}
	var hashes []any
	cut := func(path string, answer map[string]any) { // the end, and every head
		switch path {
		case "":
			answer["number"], answer["last"] = 3, 3
			answer["hash"] = hashes[2]
		case "/links":
			answer["items"] = items(answer)[:min(3, len(items(answer)))]
		case "/heads":
			answer["items"] = []any{}
		}
	}
	f.meddle = func(path string, answer map[string]any) {
		if path == "/links" {
			for _, item := range items(answer) {
				hashes = append(hashes, item.(map[string]any)["hash"])
			}
		}
	}
	if code, printed, said := f.verify(t, "--head", head); code != 0 || int64(len(hashes)) != last {
		t.Fatalf("before anybody meddles: exit code %d, %s%s", code, printed, said)
	}
	stranger := startFar(t)
	theirs := stranger.signer(t)
	theirs["kid"] = f.signer(t)["kid"]
	for name, tc := range map[string]struct {
		meddle func(path string, answer map[string]any)
		code   int
		says   string
	}{
		"an event is another one":  {func(path string, a map[string]any) { link(path, a, 4)["kind"] = "signin.succeeded" }, 1, "event 4 is not what was chained"},
		"an event says more":       {func(path string, a map[string]any) { link(path, a, 4)["document"] = map[string]any{"turn": 99} }, 1, "event 4 is not what was chained"},
		"an event has another one": {func(path string, a map[string]any) { link(path, a, 4)["hash"] = hashes[1] }, 1, "event 4 is not what was chained"},
		"an event is left out": {func(path string, a map[string]any) {
			if path == "/links" {
				a["items"] = append(items(a)[:3:3], items(a)[4:]...)
			}
		}, 1, "event 4 is missing"},
		"none comes": {func(path string, a map[string]any) {
			if path == "/links" {
				a["items"] = []any{}
			}
		}, 1, "event 1 is missing, and all up to event"},
		"the same again": {func(path string, a map[string]any) {
			if path == "/links" {
				a["items"] = append(items(a), items(a)[0])
			}
		}, 1, "is out of order"},
		"too many": {func(path string, a map[string]any) {
			if path == "/links" {
				for i := range events.MaxLinks {
					a["items"] = append(items(a), map[string]any{"number": int(last) + i + 1, "document": nil})
				}
			}
		}, 1, "has more entries than were asked for"},
		"heads of long ago": {func(path string, a map[string]any) {
			if path == "/heads" {
				a["items"] = []any{map[string]any{"number": -1, "jws": "e30.e30.e30"}}
			}
		}, 1, "is out of order"},
		"a head of somebody else's": {func(path string, a map[string]any) {
			if path == "/heads" && len(items(a)) > 0 {
				items(a)[0].(map[string]any)["jws"] = "e30.e30.e30"
			}
		}, 1, "has a signed head that is not ours"},
		"the keys of somebody else": {func(path string, a map[string]any) {
			if path == "" {
				a["keys"] = []any{theirs}
			}
		}, 1, "has a signed head that is not ours"},
		"no keys": {func(_ string, a map[string]any) { delete(a, "keys") }, 1, "has a signed head that is not ours"},
		"a key that is none": {func(_ string, a map[string]any) {
			a["keys"] = []any{map[string]any{"kid": "x", "jwk": map[string]any{"kty": "oct", "k": "AAAA"}}}
		}, 1, "its answer about the chain of events"},
		"the beginning is gone": {func(path string, a map[string]any) {
			if path == "" {
				a["first"] = 4
			}
		}, 1, "event 1 is gone, and all up to event 3: no anchor of ours stands for them"},
		"it ends with another": {func(path string, a map[string]any) {
			if path == "" {
				a["hash"] = hashes[0]
			}
		}, 1, "is not the one that the chain ends with"},
		"more was put in": {func(path string, a map[string]any) {
			if path == "" {
				a["last"] = last + 1
			}
		}, 1, "was never chained"},
		"the end is cut off with its heads": {cut, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.meddle = tc.meddle
			code, printed, said := f.verify(t)
			if code != tc.code || !strings.Contains(said, tc.says) {
				t.Errorf("exit code %d, %s%s, want %d and %q", code, printed, said, tc.code, tc.says)
			}
			if tc.code == 0 {
				if code, printed, said = f.verify(t, "--head", head); code != 1 || !strings.Contains(said, "event 4 is missing, and all up to event") {
					t.Errorf("with a head from elsewhere: exit code %d, %s%s", code, printed, said)
				}
			}
		})
	}
	// Somebody with another house, whose chain and heads hold.
	stranger.tell(t, 12)
	stranger.sign(t)
	if code, printed, said := stranger.verify(t); code != 0 {
		t.Errorf("by itself: exit code %d, %s%s", code, printed, said)
	}
	if code, printed, said := stranger.verify(t, "--head", head); code != 1 || !strings.Contains(said, "is none of this provider's") {
		t.Errorf("with a head from elsewhere: exit code %d, %s%s", code, printed, said)
	}
	// Who has the keys as well makes every hash anew: with the keys that the head is good by.
	f.meddle = nil
	providertest.Meddle(t, f.database, "UPDATE events SET kind = 'x' WHERE number = 4")
	providertest.Meddle(t, f.database, "UPDATE events SET number = NULL WHERE number >= 4")
	providertest.Meddle(t, f.database, "UPDATE event_chains SET number = 3, hash = (SELECT hash FROM events WHERE number = 3)")
	providertest.Meddle(t, f.database, "DELETE FROM event_heads")
	f.tell(t, 1)
	f.sign(t)
	if code, printed, said := f.verify(t); code != 0 {
		t.Errorf("made anew: exit code %d, %s%s", code, printed, said)
	}
	if code, printed, said := f.verify(t, "--head", head); code != 1 || !strings.Contains(said, "every hash since made anew") {
		t.Errorf("made anew, with a head from elsewhere: exit code %d, %s%s", code, printed, said)
	}
}
