package main_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/provider/providertest"
)

// refuse answers with a problem.
func refuse(w http.ResponseWriter, status int) bool {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"title": "Not now", "code": "unavailable", "detail": "Not now."}`)
	return true
}

// A fault that is proven is told, and nothing to go on with, though the server answers no
// more when it is asked for what would explain it.
func TestAServerCannotHushUpAFault(t *testing.T) {
	f := startFar(t)
	f.tell(t, 8)
	head, last := f.sign(t)
	providertest.Meddle(t, f.database, "UPDATE events SET kind = 'x' WHERE number = 4")
	wantFault := func(what, says string, args ...string) {
		t.Helper()
		code, printed, said := f.verify(t, args...)
		if code != 1 || !strings.Contains(printed, "false") || !strings.Contains(said, says) || strings.Contains(said, "--from") {
			t.Errorf("%s: exit code %d, %s%s", what, code, printed, said)
		}
	}
	states := 0
	f.instead = func(w http.ResponseWriter, path string) bool {
		if path == "/chain" {
			states++
		}
		return path == "/chain" && states > 1 && refuse(w, http.StatusServiceUnavailable)
	}
	wantFault("changed", "event 4 is not what was chained")
	states = 0
	providertest.Meddle(t, f.database, "CREATE TABLE was AS SELECT * FROM events")
	providertest.Meddle(t, f.database, "DELETE FROM events WHERE number = 4")
	wantFault("deleted", "event 4 is missing")
	providertest.Meddle(t, f.database, "INSERT INTO events SELECT * FROM was WHERE number = 4")
	// All made anew from event 4 on, with another event at the end.
	providertest.Meddle(t, f.database, "UPDATE events SET number = NULL WHERE number >= 4")
	providertest.Meddle(t, f.database, "UPDATE event_chains SET number = 3, hash = (SELECT hash FROM events WHERE number = 3)")
	providertest.Meddle(t, f.database, "DELETE FROM event_heads")
	f.tell(t, 2)
	f.instead = func(w http.ResponseWriter, path string) bool {
		return path == "" && refuse(w, http.StatusTooManyRequests)
	}
	for _, output := range []string{"text", "json"} {
		wantFault("made anew", fmt.Sprintf("event %d or one before it was changed, and every hash since made anew", last), "--head", head, "-o", output)
	}
}

// Who has a server's keys signs an anchor for what they want to be gone, and says for how long
// events are to be kept. What the operator says weighs more, and so does their head.
func TestAForgedAnchorIsToldByTheHeadFromElsewhere(t *testing.T) {
	f := startFar(t)
	f.tell(t, 8)
	rows, err := f.Store.ChainedEvents(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	head, last := f.sign(t)
	f.Clock.Advance(time.Hour)
	f.meddle = func(path string, answer map[string]any) {
		if path == "" {
			answer["keep"] = 86400
		}
	}
	for left := range int64(2) {
		gone := last - left
		says, _ := json.Marshal(map[string]any{"number": gone, "hash": rows[gone-1].Hash, "first": gone + 1, "iat": f.Clock.Now().Unix()})
		anchor, err := f.Keys.Sign(t.Context(), keys.ES256, "events-anchor+jws", says)
		if err != nil {
			t.Fatal(err)
		}
		meddle := f.meddle
		f.meddle = func(path string, answer map[string]any) {
			meddle(path, answer)
			if path == "" {
				answer["first"], answer["anchor"] = gone+1, anchor
			}
			if path == "/heads" {
				answer["items"] = []any{}
			}
		}
		if code, printed, said := f.verify(t, "--head", head, "--keep", "0"); code != 1 || !strings.Contains(said, fmt.Sprintf("event 1 is gone, and all up to event %d: ", gone)) {
			t.Errorf("%d are left: exit code %d, %s%s", left, code, printed, said)
		}
		code, printed, said := f.verify(t, "--head", head)
		switch {
		case left == 0 && (code != 1 || !strings.Contains(said, "all that it covers was given up since")):
			t.Errorf("none is left, by the server's word: exit code %d, %s%s", code, printed, said)
		case left > 0 && (code != 0 || !strings.Contains(printed, fmt.Sprintf("given up since the head  %d, by the anchor's word", gone))):
			t.Errorf("%d are left, by the server's word: exit code %d, %s%s", left, code, printed, said)
		}
		f.meddle = meddle
	}
	// A head of before: what came after it is younger than that.
	f.tell(t, 2)
	_, newest := f.sign(t)
	rows, err = f.Store.ChainedEvents(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	says, _ := json.Marshal(map[string]any{"number": newest - 1, "hash": rows[newest-2].Hash, "first": newest, "iat": f.Clock.Now().Unix()})
	anchor, err := f.Keys.Sign(t.Context(), keys.ES256, "events-anchor+jws", says)
	if err != nil {
		t.Fatal(err)
	}
	f.Clock.Advance(2 * 24 * time.Hour)
	f.renew(t)
	f.meddle = func(path string, answer map[string]any) {
		if path == "" {
			answer["keep"], answer["first"], answer["anchor"] = 86400, newest, anchor
		}
	}
	if code, printed, said := f.verify(t, "--head", head, "--keep", "7d"); code != 1 || !strings.Contains(said, fmt.Sprintf("event %d is gone, and all up to event %d: they came after a head", last+1, newest-1)) {
		t.Errorf("younger than a week: exit code %d, %s%s", code, printed, said)
	}
	for _, wrong := range []string{"x", "-1d", "99999d"} {
		if code, _, said := f.verify(t, "--keep="+wrong); code != 2 || !strings.Contains(said, "--keep: ") {
			t.Errorf("--keep %s: exit code %d, %s", wrong, code, said)
		}
	}
}

// What a server answers costs whoever verifies no more than its bytes, however many entries
// it makes of them; and once it has answered, nonsense is its fault and no wrong usage.
func TestAServersAnswersCostLittle(t *testing.T) {
	f := startFar(t)
	f.tell(t, 3)
	const many = 5 << 20
	for name, tc := range map[string]struct {
		path, answer string
		code         int
		says         string
	}{
		"entries":     {"/chain/links", `{"items": [` + strings.Repeat("{},", many/3) + `{}]}`, 1, "more entries than were asked for"},
		"heads":       {"/chain/heads", `{"items": [` + strings.Repeat("{},", many/3) + `{}]}`, 1, "more entries than were asked for"},
		"keys":        {"/chain", `{"keys": [` + strings.Repeat("{},", many/3) + `{}]}`, 1, "more than 10000 keys"},
		"bytes":       {"/chain/links", `{"items": [` + strings.Repeat(" ", 2*many) + `]}`, 1, "more than 6291456 bytes"},
		"keeps ever":  {"/chain", `{"keep": 9223372036854775807}`, 1, "for a time that there is not"},
		"nonsense":    {"/chain/links", `<html>`, 1, "is none of the operators' API"},
		"no list":     {"/chain/links", `{"items": {}}`, 1, "is none of the operators' API"},
		"not the API": {"/chain", `<html>`, 2, "it is the issuer"},
	} {
		f.instead = func(w http.ResponseWriter, path string) bool {
			if path == tc.path {
				_, _ = io.WriteString(w, tc.answer)
			}
			return path == tc.path
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		code, printed, said := f.verify(t)
		runtime.ReadMemStats(&after)
		if code != tc.code || !strings.Contains(said, tc.says) {
			t.Errorf("%s: exit code %d, %s%s", name, code, printed, said)
		}
		if mib := (after.TotalAlloc - before.TotalAlloc) >> 20; mib > 100 {
			t.Errorf("%s: %d MiB were allocated", name, mib)
		}
	}
}

// What a server says is words, and no command to the terminal.
func TestAServerSaysNothingToTheTerminal(t *testing.T) {
	f := startFar(t)
	f.instead = func(w http.ResponseWriter, _ string) bool {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"title": "No", "errors": [{"field": "a\u001b[2J", "detail": "b\u009b2J\u202e\rholds"}]}`)
		return true
	}
	if code, _, said := f.verify(t); code != 1 || !strings.Contains(said, "holds") || strings.ContainsAny(said, "\x1b\u009b\u202e\r") {
		t.Errorf("exit code %d, %q", code, said)
	}
}

// A walk of a part does not look like one of the whole.
func TestAWalkOfAPartSaysSo(t *testing.T) {
	f := startFar(t)
	f.tell(t, 600)
	pages := 0
	f.instead = func(w http.ResponseWriter, path string) bool {
		if path == "/chain/links" {
			pages++
		}
		return path == "/chain/links" && pages == 2 && refuse(w, http.StatusServiceUnavailable)
	}
	var report struct {
		Holds         bool
		From, Reached string
	}
	code, printed, said := f.verify(t, "-o", "json")
	if err := json.Unmarshal([]byte(printed), &report); err != nil || code != 1 || report.Holds || report.Reached == "" || !strings.HasSuffix(strings.TrimSpace(said), "--from "+report.Reached) {
		t.Fatalf("exit code %d, %s%s", code, printed, said)
	}
	from := report.Reached
	report.Reached = ""
	if code, printed, said = f.verify(t, "-o", "json", "--from", from); json.Unmarshal([]byte(printed), &report) != nil || code != 0 || !report.Holds || report.From != from || report.Reached != "" {
		t.Errorf("exit code %d, %s%s", code, printed, said)
	}
	if code, printed, said = f.verify(t, "--from", from); code != 0 || !strings.Contains(printed, "only after    "+from) {
		t.Errorf("exit code %d, %s%s", code, printed, said)
	}
}
