package signin

import (
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/proof"
	"github.com/doorstep-id/doorstep/storage"
)

func TestOnlyWhatThePersonCanMendIsAProblemOfThePage(t *testing.T) {
	for _, tc := range []struct {
		err     error
		name    string
		seconds int
	}{
		{fmt.Errorf("verify: %w", proof.ErrWrong), "wrong", 0},
		{fault.TooMany(90 * time.Second), "throttled", 90},
		{fault.Unavailable(1500*time.Millisecond, nil), "busy", 2},
		{fault.TooLarge("password", "is too long"), "", 0},
		{storage.ErrNotFound, "", 0},
		{errors.New("anything"), "", 0},
	} {
		w := httptest.NewRecorder()
		name, seconds := problem(w, tc.err)
		if name != tc.name || seconds != tc.seconds || (w.Header().Get("Retry-After") != "") != (seconds > 0) {
			t.Errorf("%v: %q, %d s, header %q", tc.err, name, seconds, w.Header().Get("Retry-After"))
		}
	}
}

func TestOneAccountHasOneThrottleKey(t *testing.T) { // attack case 58
	want := accountKey("ada@example.org")
	for _, written := range []string{" Ada@Example.org ", "ADA@EXAMPLE.ORG", "ａｄａ@example.org", "ada@EXAMPLE.org\t"} {
		if got := accountKey(written); got != want {
			t.Errorf("%q: %q, want %q", written, got, want)
		}
	}
	if accountKey(" no address ") != accountKey("no address") {
		t.Error("spaces around make another key")
	}
}

func TestThePageNamesWhereTheAnswerGoes(t *testing.T) {
	for redirect, want := range map[string]string{
		"https://shop.example/cb":   "shop.example",
		"http://127.0.0.1:8081/cb":  "127.0.0.1:8081",
		"com.example.app:/callback": "com.example.app",
		"com.example.app://host/cb": "com.example.app",
		":":                         "",
	} {
		if got := hostOf(redirect); got != want {
			t.Errorf("%s: %q, want %q", redirect, got, want)
		}
	}
}
