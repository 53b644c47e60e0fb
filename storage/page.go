package storage

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// How many rows a list returns at once: if nobody says, and at most.
const (
	PageSize = 50
	MaxPage  = 200
)

// ErrCursor says that a page was to begin where no row of the list could be.
var ErrCursor = fmt.Errorf("%w: no cursor of this list", ErrNotFound)

// Page is the part of a list that is wanted. Every list has one order of ours, by
// a key that its rows have once, and an index for it: a page costs the same
// wherever it begins.
type Page struct {
	After string // the key of the last row of the page before, which is its Next; "" for the first page
	Limit int    // rows; [PageSize] if it is not positive, never more than [MaxPage]
}

// List is one page of a list.
type List[T any] struct {
	Items []T
	Next  string // where the next page begins; "" after the last
}

func (p Page) limit() int {
	if p.Limit <= 0 {
		return PageSize
	}
	return min(p.Limit, MaxPage)
}

// more is one row more than the page has: it tells whether there is another page.
func (p Page) more() int { return p.limit() + 1 }

// afterID is where a list by id begins.
func (p Page) afterID() (ID, error) {
	if p.After == "" {
		return "00000000-0000-0000-0000-000000000000", nil
	}
	id, err := ParseID(p.After)
	if err != nil {
		return "", ErrCursor
	}
	return id, nil
}

// afterText is where a list by a text begins.
func (p Page) afterText() (string, error) {
	if !utf8.ValidString(p.After) || strings.IndexByte(p.After, 0) >= 0 {
		return "", ErrCursor
	}
	return p.After, nil
}

// page cuts rows, of which more were asked for, to the page.
func page[T any](rows []T, p Page, key func(*T) string) List[T] {
	if len(rows) <= p.limit() {
		return List[T]{Items: rows}
	}
	rows = rows[:p.limit()]
	return List[T]{Items: rows, Next: key(&rows[len(rows)-1])}
}
