package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/provider/sms"
)

// The demo's mailbox shows what came, newest first, and lets nothing of it run.
func TestMailboxShowsMailsAndRunsNone(t *testing.T) {
	box := &mailbox{log: slog.New(slog.DiscardHandler)}
	site := box.in(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	get := func(path string, status int) (body string, header http.Header) {
		t.Helper()
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if w.Code != status {
			t.Errorf("%s: %d, want %d", path, w.Code, status)
		}
		return w.Body.String(), w.Header()
	}
	if body, _ := get("/mailbox", http.StatusOK); !strings.Contains(body, "none yet") {
		t.Errorf("an empty one says\n%s", body)
	}
	err := box.Deliver(t.Context(), nil, &sms.Message{From: "Demo", To: "+46701740605", Text: "48151623\n\n@localhost #48151623", Lang: "sv", Date: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if text, _ := get("/mailbox/1", http.StatusOK); !strings.Contains(text, "Demo to &#43;46701740605") || !strings.Contains(text, `lang="sv">48151623`) || strings.Contains(text, "iframe") {
		t.Errorf("a text message is shown as\n%s", text)
	}
	const evil = `<script>alert(1)</script>`
	for i := range maxMailbox + 2 {
		err := box.deliver(t.Context(), &mail.Letter{
			From: &netmail.Address{Name: evil, Address: "a@example.com"}, To: fmt.Sprintf("ada%d@example.com", i), Date: time.Now(), Lang: "en",
			Subject: evil, Text: "javascript:alert(1)\nhttps://login.example/verify?key=k\n" + evil, HTML: "<p>as it is</p>" + evil,
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	list, _ := get("/mailbox", http.StatusOK)
	if newest, next := strings.Index(list, fmt.Sprintf("ada%d@", maxMailbox+1)), strings.Index(list, fmt.Sprintf("ada%d@", maxMailbox)); newest < 0 || newest > next ||
		strings.Contains(list, "ada1@") || strings.Contains(list, evil) {
		t.Errorf("the list is\n%s", list)
	}
	get("/mailbox/2", http.StatusNotFound)
	get("/mailbox/x", http.StatusNotFound)
	one, header := get("/mailbox/5", http.StatusOK)
	if strings.Contains(one, evil) || strings.Contains(one, `href="javascript`) || !strings.Contains(one, `<a href="https://login.example/verify?key=k">`) ||
		!strings.Contains(one, `src="/mailbox/5/html" sandbox>`) || !strings.Contains(header.Get("Content-Security-Policy"), "default-src 'none'") {
		t.Errorf("a mail is shown as\n%s", one)
	}
	raw, header := get("/mailbox/5/html", http.StatusOK)
	if csp := header.Get("Content-Security-Policy"); !strings.HasPrefix(raw, "<p>as it is</p>") || !strings.HasPrefix(csp, "sandbox; default-src 'none';") {
		t.Errorf("%q with the policy %q", raw, csp)
	}
	get("/", http.StatusTeapot)
	get("/me", http.StatusTeapot)
}
