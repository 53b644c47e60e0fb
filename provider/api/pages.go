package api

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strconv"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
)

// PageInput is what every list takes.
type PageInput struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"How many entries a page has at most."`
	Cursor string `query:"cursor" maxLength:"1024" doc:"Where the page begins: from next of the page before, as it is."`
}

// Page is one page of a list.
type Page[T any] struct {
	Items []T    `json:"items" required:"true" doc:"In a fixed order, which cannot be chosen."`
	Next  string `json:"next,omitempty" format:"uri" doc:"Where the next page is; not there on the last one."`
}

// pageOf is the answer with one page.
type pageOf[T any] struct{ Body Page[T] }

// paged answers with one page of a list: read returns up to limit entries after the
// one whose key is after ("" for the first page), in the order of their keys; show is
// what an entry looks like. filters are the parameters that chose the entries.
func paged[E, T any](h *Handler, path string, filters url.Values, in *PageInput, read func(after string, limit int) ([]E, error), key func(*E) string, show func(*E) T) (*pageOf[T], error) {
	list := path + "?" + filters.Encode()
	after, err := h.after(list, in.Cursor)
	if err != nil {
		return nil, err
	}
	rows, err := read(after, in.Limit+1)
	if err != nil {
		return nil, err
	}
	out := &pageOf[T]{Page[T]{Items: make([]T, 0, min(len(rows), in.Limit))}}
	for i := range rows[:min(len(rows), in.Limit)] {
		out.Body.Items = append(out.Body.Items, show(&rows[i]))
	}
	if len(rows) > in.Limit {
		query := url.Values{}
		for name, values := range filters {
			query[name] = values
		}
		query.Set("limit", strconv.Itoa(in.Limit))
		query.Set("cursor", h.cursor(list, key(&rows[in.Limit-1])))
		out.Body.Next = h.Web.URL(web.PathAPI+path) + "?" + query.Encode()
	}
	return out, nil
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
