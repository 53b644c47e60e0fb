package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// PageInput is what every list takes.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many entries a page has at most."`
	Cursor string `query:"cursor" maxLength:"2700" doc:"Where the page begins: from next of the page before, as it is."`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" required:"true" doc:"In a fixed order, which cannot be chosen."`
	Next  string `json:"next,omitempty" format:"uri" doc:"Where the next page is; not there on the last one."`
}

// pageOf is the answer with one page.
type pageOf[T any] struct{ Body Page[T] }

// paged answers with one page of a list, which read returns as it looks. filters are
// the parameters that chose the entries.
func paged[T any](h *Handler, path string, filters url.Values, in *PageInput, read func(storage.Page) (storage.List[T], error)) (*pageOf[T], error) {
	list := path + "?" + filters.Encode()
	after, err := h.after(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := read(storage.Page{After: after, Limit: in.Limit})
	if err != nil {
		return nil, err
	}
	out := &pageOf[T]{Page[T]{Items: rows.Items}}
	if rows.Next != "" {
		query := url.Values{}
		for name, values := range filters {
			query[name] = values
		}
		query.Set("limit", strconv.Itoa(in.Limit))
		query.Set("cursor", h.cursor(list, rows.Next))
		out.Body.Next = h.Web.URL(web.PathAPI+path) + "?" + query.Encode()
	}
	return out, nil
}

// shown is a page of entries as show has each of them look.
func shown[E, T any](list storage.List[E], show func(*E) T) storage.List[T] {
	out := storage.List[T]{Items: make([]T, 0, len(list.Items)), Next: list.Next}
	for i := range list.Items {
		out.Items = append(out.Items, show(&list.Items[i]))
	}
	return out
}

// filters are parameters by name and value, without those that are "".
func filters(pairs ...string) url.Values {
	out := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out.Set(pairs[i], pairs[i+1])
		}
	}
	return out
}

// cursorMAC is how much of a cursor is its MAC, in bytes.
const cursorMAC = 16

// cursor is a place in one list, which nobody can make but we.
func (h *Handler) cursor(list, after string) string {
	return base64.RawURLEncoding.EncodeToString(append(h.cursorSum(list, after), after...))
}

func (h *Handler) cursorSum(list, after string) []byte {
	mac := hmac.New(sha256.New, h.cursorKey[:])
	mac.Write([]byte(list + "\x00" + after)) // no list has a NUL in it
	return mac.Sum(nil)[:cursorMAC]
}

// after returns the place that a cursor of this list is, "" for none.
func (h *Handler) after(list, cursor string) (string, error) {
	if cursor == "" {
		return "", nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < cursorMAC {
		return "", errCursor
	}
	sum, after := raw[:cursorMAC], raw[cursorMAC:]
	if !hmac.Equal(sum, h.cursorSum(list, string(after))) {
		return "", errCursor
	}
	return string(after), nil
}

var errCursor = fault.Invalid("cursor", "is not one of this list: take next of the page before, as it is")
