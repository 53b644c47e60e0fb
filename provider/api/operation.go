package api

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// operation declares one operation: what the document says of it is what is served.
type operation struct {
	id, summary, text string
	method, path      string
	scope             string // that the token must have; there is no operation without
	status            int    // of success
	once              bool   // takes an Idempotency-Key
	match             match
	body              string // media type of the body; "" for none
	sends, answers    any    // examples of the body and of the answer; nil for none
	conflicts         bool   // may answer 409 besides
}

const (
	securityScheme = "token"
	mergePatchType = "application/merge-patch+json" // RFC 7396
	jsonType       = "application/json"
)

// declarationKey is under which an operation carries its declaration.
const declarationKey = "declaration"

// declarationOf returns what an operation was declared as; there is no other way to
// mount one.
func declarationOf(op *huma.Operation) *operation {
	declared, ok := op.Metadata[declarationKey].(*operation)
	if !ok || declared.scope == "" {
		panic("api: " + op.OperationID + " was not declared with a scope: see operation.go")
	}
	return declared
}

// register declares an operation and mounts it.
func register[I, O any](h *Handler, declared operation, handle func(context.Context, *I) (*O, error)) {
	op := huma.Operation{
		OperationID: declared.id, Method: declared.method, Path: declared.path, Summary: declared.summary,
		Description:   strings.TrimSpace(declared.text + "\n\nNeeds the scope `" + declared.scope + "`."),
		Tags:          tags(declared.scope),
		Security:      []map[string][]string{{securityScheme: {declared.scope}}},
		DefaultStatus: declared.status,
		Metadata:      map[string]any{declarationKey: &declared},
		Responses:     map[string]*huma.Response{},
	}
	for _, status := range declared.refusals() {
		op.Responses[strconv.Itoa(status)] = &huma.Response{Ref: "#/components/responses/" + strconv.Itoa(status)}
	}
	if declared.once {
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/IdempotencyKey"})
	}
	switch declared.match {
	case mayMatch:
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/MayMatch"})
	case mustMatch:
		op.Parameters = append(op.Parameters, &huma.Param{Ref: "#/components/parameters/MustMatch"})
	case matchNothing:
	}
	huma.Register(h.huma, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		return out, stale(ctx, err)
	})
	h.complete(&declared)
}

// tags are what the document sorts an operation by: what its scope is of.
func tags(scope string) []string {
	of, _, _ := strings.Cut(scope, ":")
	return []string{of}
}

// complete adds to the document what huma cannot know.
func (h *Handler) complete(declared *operation) {
	op := operationAt(h.huma.OpenAPI(), declared.method, declared.path)
	success := op.Responses[strconv.Itoa(declared.status)]
	if success.Headers == nil {
		success.Headers = map[string]*huma.Header{}
	}
	for _, name := range []string{"RateLimit", "RateLimit-Policy", "X-Request-Id"} {
		success.Headers[name] = &huma.Header{Ref: "#/components/headers/" + name}
	}
	if media := success.Content[jsonType]; media != nil {
		media.Example = declared.answers
	}
	if op.RequestBody != nil {
		op.RequestBody.Content[declared.body].Example = declared.sends
	}
}

// refusals are the statuses of the errors that the operation may answer with.
func (d *operation) refusals() []int {
	out := []int{http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests,
		http.StatusInternalServerError, http.StatusServiceUnavailable}
	if strings.Contains(d.path, "{") {
		out = append(out, http.StatusNotFound)
	}
	if d.once || d.conflicts || d.match != matchNothing {
		out = append(out, http.StatusConflict)
	}
	if d.match != matchNothing {
		out = append(out, http.StatusPreconditionFailed)
	}
	if d.match == mustMatch {
		out = append(out, http.StatusPreconditionRequired)
	}
	if d.body != "" {
		out = append(out, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType)
	}
	if d.once {
		out = append(out, http.StatusUnprocessableEntity)
	}
	return out
}

func operationAt(doc *huma.OpenAPI, method, path string) *huma.Operation {
	item := doc.Paths[path]
	switch method {
	case http.MethodGet:
		return item.Get
	case http.MethodPost:
		return item.Post
	case http.MethodPut:
		return item.Put
	case http.MethodPatch:
		return item.Patch
	case http.MethodDelete:
		return item.Delete
	}
	panic("api: no operation has the method " + method)
}

// Answers that more than one resource has.
type (
	// found is the answer with one thing and its version.
	found[T any] struct {
		ETag string `header:"ETag" doc:"The version that was read: send it as If-Match with a change."`
		Body T
	}
	// created is the answer with a thing that was just made.
	created[T any] struct {
		Location string `header:"Location" doc:"Where it is from now on."`
		ETag     string `header:"ETag" doc:"Its version."`
		Body     T
	}
	// plain is the answer with something that has no version.
	plain[T any] struct{ Body T }
	// nothing is the answer without a body.
	nothing struct{}
	// MergePatch is the body of a change (RFC 7396), which the service reads.
	MergePatch struct {
		RawBody []byte `contentType:"application/merge-patch+json"`
	}
)
