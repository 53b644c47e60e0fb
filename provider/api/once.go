package api

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	headerIdempotencyKey = "Idempotency-Key"
	maxIdempotencyKey    = 255

	// How long an answer is kept, and how long a request that was begun and of which
	// nothing more is heard is taken for one that goes on: longer than any does.
	keepAnswer = 24 * time.Hour
	goesOn     = 15 * time.Second
)

// kept is an answer as it is kept, sealed: it may hold a secret.
type kept struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// once carries out a request once, however often it is sent with its key within 24
// hours, on whichever replica: what is sent again gets the first answer
// (draft-ietf-httpapi-idempotency-key-header). A request that was refused may be
// mended and sent with the same key. A key is its [Caller.bucket]'s: the answer may hold
// a secret, and operators choose keys that are alike.
func (h *Handler) once(w http.ResponseWriter, r *http.Request, keys []string, body []byte, run func(http.ResponseWriter, *http.Request)) error {
	if len(keys) > 1 || !isIdempotencyKey(keys[0]) {
		return fault.Invalid(headerIdempotencyKey, fmt.Sprintf("must be one, of 1 to %d visible characters of ASCII", maxIdempotencyKey))
	}
	ctx, now := r.Context(), storage.At(h.Now())
	claim := &storage.IdempotencyKey{
		Hash:      h.digest(append(callerOf(ctx).bucket(), keys[0])...),
		Request:   h.digest(append([]string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get(headerIfMatch), string(body)}, callerOf(ctx).rights()...)...),
		BegunAt:   now,
		ExpiresAt: storage.At(now.Add(keepAnswer)),
	}
	err := h.Store.ClaimIdempotencyKey(ctx, claim)
	if errors.Is(err, storage.ErrConflict) {
		return h.again(w, r, claim, run)
	}
	if err != nil {
		return fmt.Errorf("claim an idempotency key: %w", err)
	}
	h.first(w, r, claim.Hash, run)
	return nil
}

// again answers a request whose key was used before.
func (h *Handler) again(w http.ResponseWriter, r *http.Request, claim *storage.IdempotencyKey, run func(http.ResponseWriter, *http.Request)) error {
	known, err := h.Store.IdempotencyKey(r.Context(), claim.Hash)
	if errors.Is(err, storage.ErrNotFound) { // refused, and forgotten, a moment ago
		return errGoesOn
	}
	if err != nil {
		return fmt.Errorf("read an idempotency key: %w", err)
	}
	switch {
	case !bytes.Equal(known.Request, claim.Request):
		return errOtherRequest
	case len(known.Answer) > 0:
		return h.replay(w, known)
	case !known.DoneAt.IsZero() && claim.BegunAt.Sub(known.DoneAt.Time) >= goesOn:
		return errAnswerLost
	case claim.BegunAt.Sub(known.BegunAt.Time) < goesOn || !known.DoneAt.IsZero():
		return errGoesOn
	}
	err = h.Store.ReclaimIdempotencyKey(r.Context(), known, claim.BegunAt)
	if errors.Is(err, storage.ErrStale) {
		return errGoesOn
	}
	if err != nil {
		return fmt.Errorf("take over an idempotency key: %w", err)
	}
	h.first(w, r, claim.Hash, run)
	return nil
}

var (
	errOtherRequest = &fault.Error{
		Kind: http.StatusUnprocessableEntity, Code: "idempotency_key_reused", Field: headerIdempotencyKey,
		Message: "was used for another request: a new request needs a key of its own",
	}
	errGoesOn = &fault.Error{
		Kind: fault.KindConflict, Code: "idempotency_in_progress", Field: headerIdempotencyKey,
		Message: "is that of a request that is being carried out: ask again in a moment", RetryAfter: time.Second,
	}
	errAnswerLost = &fault.Error{
		Kind: fault.KindConflict, Code: "idempotency_answer_lost", Field: headerIdempotencyKey,
		Message: "is that of a request that was carried out, and its answer is lost: read what it made (a new secret is had by rotating it)",
	}
)

// first carries out a request and keeps its answer. Whether the change was made is
// marked in its own transaction; a request that was refused changed nothing and is
// forgotten, one of which we do not know is left as it is.
func (h *Handler) first(w http.ResponseWriter, r *http.Request, hash []byte, run func(http.ResponseWriter, *http.Request)) {
	out := &recorder{header: http.Header{}, code: http.StatusOK}
	run(out, r.WithContext(h.Store.DoOnce(r.Context(), hash, storage.At(h.Now()))))
	// What was done is kept although its client may have gone.
	ctx := context.WithoutCancel(r.Context())
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var err error
	switch {
	case out.code < http.StatusMultipleChoices:
		err = h.keep(ctx, hash, out)
	case out.code < http.StatusInternalServerError:
		err = h.Store.ForgetIdempotencyKey(ctx, hash)
	}
	if err != nil {
		web.Log(r.Context()).Set("idempotency_error", err.Error())
	}
	out.copyTo(w)
}

func (h *Handler) keep(ctx context.Context, hash []byte, out *recorder) error {
	plain, err := json.Marshal(kept{out.code, out.header, out.body.Bytes()})
	if err != nil {
		return err
	}
	sealed, err := h.Keys.Seal(storage.PurposeAnswer, string(hash), plain)
	if err != nil {
		return err
	}
	return h.Store.AnswerIdempotencyKey(ctx, hash, sealed)
}

func (h *Handler) replay(w http.ResponseWriter, known *storage.IdempotencyKey) error {
	plain, err := h.Keys.Open(storage.PurposeAnswer, string(known.Hash), known.Answer)
	var answer kept
	if err == nil {
		err = json.Unmarshal(plain, &answer)
	}
	if err != nil { // as where a key-encryption key was dropped before all was sealed anew
		lost := *errAnswerLost
		lost.Err = err
		return &lost
	}
	(&recorder{header: answer.Header, code: answer.Status, body: *bytes.NewBuffer(answer.Body)}).copyTo(w)
	return nil
}

func isIdempotencyKey(key string) bool {
	for i := range len(key) {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return key != "" && len(key) <= maxIdempotencyKey
}

// digest is HMAC-SHA-256 over parts, each with its length: a request may have a
// password in it, which a hash that anybody can make would let be guessed.
func (h *Handler) digest(parts ...string) []byte {
	sum := hmac.New(sha256.New, h.onceKey[:])
	for _, part := range parts {
		sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(part))))
		sum.Write([]byte(part))
	}
	return sum.Sum(nil)
}

// recorder holds an answer back until it is kept.
type recorder struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(code int) { r.code = code }

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) { return r.body.Write(b) }

func (r *recorder) copyTo(w http.ResponseWriter) {
	for name, values := range r.header {
		w.Header()[name] = values
	}
	w.WriteHeader(r.code)
	_, _ = w.Write(r.body.Bytes()) // the client has gone: nobody is left to tell
}
