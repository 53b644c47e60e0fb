package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// TestHintsOfVisitors are read as they were sent, and not at all where they are longer than
// any browser's.
func TestHintsOfVisitors(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for sent, want := range map[string]string{
		"": "", `"Brave";v="142"`: `"Brave";v="142"`,
		strings.Repeat("a", maxHint): strings.Repeat("a", maxHint), strings.Repeat("a", maxHint+1): "",
	} {
		r.Header.Set("Sec-CH-UA", sent)
		if got := hint(r, "Sec-CH-UA"); got != want {
			t.Errorf("of %d bytes: %q", len(sent), got)
		}
	}
}
