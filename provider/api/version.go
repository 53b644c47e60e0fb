package api

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/storage"
)

const headerIfMatch = "If-Match"

// A match says what an operation makes of If-Match.
type match int

const (
	matchNothing match = iota // the operation changes nothing that has versions
	mayMatch                  // holds the caller to it where it is there
	mustMatch                 // demands it: who changes something has seen it
)

var (
	errPreconditionMissing = &fault.Error{
		Kind: http.StatusPreconditionRequired, Code: "precondition_required", Field: headerIfMatch,
		Message: "is needed: it has the ETag of what you read, so that you do not undo what somebody else did meanwhile",
	}
	errPrecondition = &fault.Error{
		Kind: http.StatusPreconditionFailed, Code: "precondition_failed", Field: headerIfMatch,
		Message: "is not the ETag that it has now: somebody changed it since. Read it again",
	}
)

// version is what a request holds the thing that it changes to.
type version struct {
	given bool
	any   bool // "*": whichever there is
	tags  []string
}

type versionKey struct{}

func versionOf(ctx context.Context) version {
	v, _ := ctx.Value(versionKey{}).(version)
	return v
}

// withVersion reads If-Match (RFC 9110 section 13.1.1).
func withVersion(ctx context.Context, r *http.Request, m match) (context.Context, error) {
	header := strings.TrimSpace(strings.Join(r.Header.Values(headerIfMatch), ","))
	switch {
	case m == matchNothing, m == mayMatch && header == "":
		return ctx, nil
	case header == "":
		return ctx, errPreconditionMissing
	case header == "*":
		return context.WithValue(ctx, versionKey{}, version{given: true, any: true}), nil
	}
	v := version{given: true}
	for tag := range strings.SplitSeq(header, ",") {
		tag = strings.TrimSpace(tag)
		opaque := strings.TrimPrefix(tag, "W/")
		if len(opaque) < 2 || opaque[0] != '"' || opaque[len(opaque)-1] != '"' {
			return ctx, fault.Invalid(headerIfMatch, `must be an entity tag in its quotes, such as "3", or *`)
		}
		v.tags = append(v.tags, tag) // a weak one never matches: the comparison is strong
	}
	return context.WithValue(ctx, versionKey{}, v), nil
}

// checkVersion returns a fault unless the request means this version.
func checkVersion(ctx context.Context, tag string) error {
	v := versionOf(ctx)
	if !v.given || v.any || storage.Strings(v.tags).Has(tag) {
		return nil
	}
	return errPrecondition
}

// etag is the version of a thing that was made at created: one of the same name that
// is made after it starts with the same version, and is another thing.
func etag(version int64, created storage.Time) string {
	return `"` + strconv.FormatInt(version, 10) + "-" + strconv.FormatInt(created.UnixMicro(), 36) + `"`
}

func isStale(err error) bool { return errors.Is(err, storage.ErrStale) }
