package proof

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

// maxFactorName is the length of the longest name of a factor, in code points.
const maxFactorName = 64

// factorName is what a person calls a factor, as it is kept.
func factorName(name string) (string, error) {
	name = strings.TrimSpace(name)
	n := utf8.RuneCountInString(name)
	if n < 1 || n > maxFactorName || !utf8.ValidString(name) || strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return "", fault.Invalid("name", fmt.Sprintf("must have 1 to %d characters that can be printed", maxFactorName))
	}
	return name, nil
}

// factorEvent tells that a factor was added, renamed or removed. Its name is its
// owner's word, and personal; "" for none.
func factorEvent(kind events.Kind, method string, person, id storage.ID, name string, by events.Actor) events.Event {
	e := events.Event{Kind: kind, Actor: by, Person: person, Data: map[string]string{"method": method, "credential": string(id)}}
	if name != "" {
		e.Personal = map[string]any{"name": name}
	}
	return e
}

// inFours parts text into groups of four.
func inFours(text, by string) string {
	var groups []string
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(append(groups, text), by)
}
