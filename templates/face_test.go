package templates

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestEveryPageHasAFace: each can be said as data, which has neither markup nor what all
// pages are made with.
func TestEveryPageHasAFace(t *testing.T) {
	for name, page := range everyPage("en") {
		of, data, err := Face(page, func(f Form) any { return f.Action + " " + f.Token })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if of != page.(view).file() {
			t.Errorf("%s is %q", name, of)
		}
		text, err := json.Marshal(data)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, never := range []string{"\\u003c", "bm9uY2U", "Svenska", "qr_path"} {
			if strings.Contains(string(text), never) {
				t.Errorf("%s has %q: %s", name, never, text)
			}
		}
	}
	if _, _, err := Face("a text", nil); err == nil {
		t.Error("a text is a page")
	}
}

func TestFaceSaysWhatIsThere(t *testing.T) {
	_, data, err := Face(&AddPasskey{
		Base:   baseIn("en"),
		Prompt: PasskeyPrompt{Form: Form{"/to", "token"}, Options: `{"challenge":"x"}`, Creates: true},
		Who:    Account{ID: "a1", SignedIn: true},
	}, func(f Form) any { return f.Action })
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(data)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"prompt":{"creates":true,"form":"/to","options":{"challenge":"x"}},"who":{"id":"a1","signed_in":true}}`; string(text) != want {
		t.Errorf("%s, want %s", text, want)
	}
	for name, want := range map[string]string{"ID": "id", "URL": "url", "QRSize": "qr_size", "AddTOTPHref": "add_totp_href", "ClientName": "client_name", "Left": "left"} {
		if got := snake(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}
