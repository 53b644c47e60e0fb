package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/web"
)

const (
	envToken            = "DOORSTEP_TOKEN"
	serverTimeout       = 30 * time.Second
	maxToken            = 16 << 10 // bytes, more than a server takes
	maxPage       int64 = 32 << 20 // bytes, more than a page of the largest clients
)

// remote says which server a command is for, in place of the database.
type remote struct{ server, tokenFile string }

// add gives a command and all below it the flags that say so. The token has none: the
// command line of a process is there for everybody on the machine to read.
func (r *remote) add(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&r.server, "server", "", "issuer of a server to work on by its API, with the token in $"+envToken+", in place of the database")
	flags.StringVar(&r.tokenFile, "token-file", "", "file that holds the token for --server, in place of $"+envToken)
	must(cmd.MarkPersistentFlagFilename("token-file"))
}

// operators speaks to the operators' API (provider/api): to a server's with a token, or
// to one in this process, on the database (inprocess.go). What is written against it
// does not know which.
type operators struct {
	base        string // the API's own address
	http        *http.Client
	server      string // "" in this process
	token, from string // and what the operator calls the place where it was
	most        int64  // bytes of an answer; 0: maxPage

	// sequence has events get their numbers that wait for them; a server does it by itself.
	sequence func(context.Context) error
}

// issuer returns that of the provider whose API it is.
func (o *operators) issuer() string { return strings.TrimSuffix(o.base, web.PathAPI) }

// onAPI is does for a command that is written against the operators' API.
func (a *app) onAPI(f func(ctx context.Context, o *operators, args []string) error) func(*cobra.Command, []string) error {
	return a.does(func(ctx context.Context, cmd *cobra.Command, args []string) error {
		if a.remote != (remote{}) {
			o, err := a.connect(cmd.Flags())
			if err != nil {
				return err
			}
			return f(ctx, o, args)
		}
		cfg, err := a.load(cmd.Flags())
		if err != nil {
			return err
		}
		return a.inProcess(ctx, cfg, func(o *operators) error { return f(ctx, o, args) })
	})
}

// connect returns the operators' API of --server; nothing is sent yet.
func (a *app) connect(flags *pflag.FlagSet) (*operators, error) {
	if a.remote.server == "" {
		return nil, &usageError{"--token-file: is for --server, which is not there"}
	}
	var ignored string
	flags.Visit(func(f *pflag.Flag) {
		for _, s := range table {
			if f.Name == flagName(s.key) || f.Name == flagName(s.key+fileSuffix) {
				ignored = f.Name
			}
		}
	})
	if ignored != "" {
		return nil, &usageError{fmt.Sprintf("--%s: is for who works on the database: with --server the server has its own settings", ignored)}
	}
	server, err := issuer(strings.TrimRight(a.remote.server, "/"))
	if err != nil {
		return nil, &usageError{"--server: " + err.Error()}
	}
	token, from, err := a.token()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: serverTimeout, ForceAttemptHTTP2: true,
	}
	client := &http.Client{
		Transport: transport, Timeout: serverTimeout,
		// The token is for this server, and no other one.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	byItself := func(context.Context) error { return nil }
	return &operators{base: server + web.PathAPI, http: client, server: server, token: token, from: from, sequence: byItself}, nil
}

// token returns the token for a server and where it was.
func (a *app) token() (token, from string, err error) {
	token, from = lookup(a.environ, envToken), envToken
	if a.remote.tokenFile != "" {
		from = "--token-file"
		text, err := readFile(a.remote.tokenFile)
		if err != nil {
			return "", "", &usageError{from + ": " + err.Error()}
		}
		token = string(text)
	}
	token = strings.TrimSpace(token)
	unfit := func(r rune) bool { return r <= ' ' || r > '~' }
	switch {
	case token == "":
		return "", "", &usageError{from + ": there is no token for --server: 'doorstep token' makes one at the server"}
	case len(token) > maxToken || strings.ContainsFunc(token, unfit):
		return "", "", &usageError{from + ": is not one access token"}
	}
	return token, from, nil
}

// send sends a request with in, JSON as it is or what becomes JSON (nil: no body), and
// reads the answer into out, unless that is nil. What the API refuses is a fault, as it
// would be of the service itself.
func (o *operators) send(ctx context.Context, method, path string, in, out any) error {
	body, ok := in.([]byte)
	if !ok && in != nil {
		var err error
		if body, err = json.Marshal(in); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, o.base+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("User-Agent", "doorstep/"+provider.ReadBuild().Version)
	if o.token != "" {
		req.Header.Set("Authorization", "Bearer "+o.token)
	}
	switch method {
	case http.MethodPost:
		req.Header.Set("Content-Type", "application/json")
	case http.MethodPatch:
		req.Header.Set("Content-Type", "application/merge-patch+json")
		req.Header.Set("If-Match", "*") // what the command says holds for whichever version there is
	case http.MethodDelete:
		req.Header.Set("If-Match", "*")
	}
	res, err := o.http.Do(req)
	if err != nil {
		return o.unreached(err)
	}
	most := cmp.Or(o.most, maxPage)
	text, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err := errors.Join(err, res.Body.Close()); err != nil {
		return o.unreached(err)
	}
	if int64(len(text)) > most {
		return o.unreached(fmt.Errorf("it answers with more than %d bytes", most))
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return o.refusal(res, text)
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return o.stranger(res)
	}
	return nil
}

// unreached says in words that no answer came.
func (o *operators) unreached(err error) error {
	var wrapped *url.Error // whose text is the request's
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if o.server != "" {
		return fmt.Errorf("%s: %w", o.server, err)
	}
	return err
}

// stranger says that something else answers there.
func (o *operators) stranger(res *http.Response) error {
	return &usageError{fmt.Sprintf("--server: %s answers %s, as no operators' API does: it is the issuer, such as https://login.example.com", o.server, printable(res.Status))}
}

// refusal is what the API says is wrong (RFC 9457): a fault for each field.
func (o *operators) refusal(res *http.Response, text []byte) error {
	var p api.Problem
	kind, _, _ := mime.ParseMediaType(res.Header.Get("Content-Type")) // what is none is another one
	if kind != "application/problem+json" || json.Unmarshal(text, &p) != nil {
		return o.stranger(res)
	}
	seconds, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date is none that the API sends
	as := func(field, says string) *fault.Error {
		return &fault.Error{Kind: fault.Kind(res.StatusCode), Code: p.Code, Field: printable(field), Message: printable(says), RetryAfter: time.Duration(seconds) * time.Second}
	}
	switch says := cmp.Or(p.Detail, p.Title); {
	case res.StatusCode == http.StatusPreconditionFailed:
		return as("", "somebody else changed it at this moment: say it again")
	case res.StatusCode == http.StatusUnauthorized, p.Code == "insufficient_scope":
		return as(o.from, says)
	case res.StatusCode >= http.StatusInternalServerError:
		return as("", fmt.Sprintf("%s: %s (the server's log has it under %s)", o.server, says, p.RequestID))
	case len(p.Errors) == 0:
		return as("", says)
	}
	faults := make([]*fault.Error, 0, len(p.Errors))
	for _, e := range p.Errors {
		faults = append(faults, as(e.Field, e.Detail))
	}
	return fault.Join(faults...)
}

// printable is what a server says, without what a terminal takes for a command.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// get reads one thing.
func (o *operators) get(ctx context.Context, path string, out any) error {
	return o.send(ctx, http.MethodGet, path, nil, out)
}

// post makes something, or has something done.
func (o *operators) post(ctx context.Context, path string, in, out any) error {
	return o.send(ctx, http.MethodPost, path, in, out)
}

// patch changes something by a merge patch (RFC 7396).
func (o *operators) patch(ctx context.Context, path string, patch []byte, out any) error {
	return o.send(ctx, http.MethodPatch, path, patch, out)
}

// remove deletes something.
func (o *operators) remove(ctx context.Context, path string) error {
	return o.send(ctx, http.MethodDelete, path, nil, nil)
}

// userAt is the path of the person whom key names: see user.
func (o *operators) userAt(ctx context.Context, key string) (string, error) {
	id, err := o.user(ctx, key)
	return "/users/" + url.PathEscape(id), err
}

// user is how the API knows the person whom key names: by an id or a public subject as
// it is. An address has no place in a path, which ends in logs: it is looked up, which
// takes the scope users:read.
func (o *operators) user(ctx context.Context, key string) (string, error) {
	if !strings.Contains(key, "@") {
		return key, nil
	}
	nobody := fmt.Errorf("there is no person %q", key)
	address, err := ident.Email(key)
	if err != nil {
		return "", nobody
	}
	var found api.Page[api.User]
	if err := o.get(ctx, "/users?"+url.Values{"search": {address}, "limit": {"1"}}.Encode(), &found); err != nil {
		return "", err
	}
	if len(found.Items) == 0 {
		return "", nobody
	}
	if theirs, err := ident.Email(found.Items[0].Email); err != nil || theirs != address { // which begins with it
		return "", nobody
	}
	return found.Items[0].ID, nil
}

// readPage reads a page of a list, of what filters choose, and returns where the next
// one begins: "" after the last.
func readPage[T any](ctx context.Context, o *operators, path string, filters url.Values, page *pageFlags) (items []T, next string, err error) {
	query, err := page.query(filters)
	if err != nil {
		return nil, "", err
	}
	var answer api.Page[T]
	if err := o.get(ctx, path+"?"+query.Encode(), &answer); err != nil {
		return nil, "", page.explain(err)
	}
	after, err := url.Parse(answer.Next)
	if err != nil {
		return nil, "", err
	}
	return answer.Items, after.Query().Get(cursor), nil
}
