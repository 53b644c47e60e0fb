package templates

import "testing"

func TestInitialsAreOfFirstAndLastName(t *testing.T) {
	for name, want := range map[string]string{
		"Ada Lovelace": "AL", "ada king lovelace": "AL", "Ada": "A", "": "", "  ": "", "123": "", "Åsa Öberg": "ÅÖ", "(ada) <b>": "AB", "李 小龙": "李小",
	} {
		if got := Initials(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
