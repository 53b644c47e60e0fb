package providertest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"time"

	"github.com/doorstep-id/doorstep/provider/clients"
)

// OpenIDClient is a relying party on npm's openid-client: a program of its own,
// in another language, whose redirect answers over HTTP. It checks the signature of
// every ID token. The library goes by the machine's clock: see [At].
type OpenIDClient struct {
	*RP
	node *driver
	path string
	told Args // at discovery
}

// Args are the parameters of one call, as driver.mjs names them.
type Args map[string]any

// Trouble is what the library threw.
type Trouble struct {
	Name, Code, Message string
	Error, Description  string // of the provider's OAuth error
	Status              int
	Cause               string
}

// String says what happened, in short.
func (t *Trouble) String() string {
	return fmt.Sprintf("%s %s: %s (%d %s %s; %s)", t.Name, t.Code, t.Message, t.Status, t.Error, t.Description, t.Cause)
}

// SignedIn is what the library made of tokens that it found good.
type SignedIn struct {
	Tokens Tokens
	Claims map[string]any // of the ID token
}

// OpenIDClient registers a client as [P.Client] does, and has the library find
// the provider: with issuer, client id and secret, and what how adds.
func (p *P) OpenIDClient(id string, how Args, change ...func(*clients.Registration)) *OpenIDClient {
	p.t.Helper()
	d, err := node()
	need(p.t, needNode, err)
	redirect, path := d.redirect()
	c := &OpenIDClient{node: d, path: path, RP: p.Client(id, append([]func(*clients.Registration){func(r *clients.Registration) {
		r.RedirectURIs = []string{redirect}
	}}, change...)...)}
	c.told = Args{"issuer": p.Issuer, "id": c.ID}
	if c.Secret != "" {
		c.told["secret"] = c.Secret
	}
	maps.Copy(c.told, how)
	c.Call("discovery", c.told, nil)
	return c
}

// OpenIDClientWithKey is [P.OpenIDClient] for a client that proves itself by
// private_key_jwt: the library makes its key, and the public half is registered.
func (p *P) OpenIDClientWithKey(id, algorithm string, change ...func(*clients.Registration)) *OpenIDClient {
	p.t.Helper()
	d, err := node()
	need(p.t, needNode, err)
	kid := p.Issuer + " " + id
	var answer driverAnswer
	if err := d.ask(Args{"call": "generateKey", "algorithm": algorithm, "kid": kid}, &answer); err != nil || answer.Trouble != nil {
		p.t.Fatal(err, answer.Trouble)
	}
	set, err := json.Marshal(map[string]any{"keys": []json.RawMessage{answer.Result}})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.OpenIDClient(id, Args{"authentication": "private_key_jwt", "kid": kid}, append([]func(*clients.Registration){func(r *clients.Registration) {
		r.TokenEndpointAuthMethod, r.JWKS = "private_key_jwt", set
	}}, change...)...)
}

// Later moves the provider's clock, and the library's with it.
func (c *OpenIDClient) Later(d time.Duration) {
	c.t.Helper()
	c.p.Clock.Advance(d)
	skew, _ := c.told["skew"].(float64)
	c.told["skew"] = skew + d.Seconds()
	c.Call("discovery", c.told, nil)
}

// Call has the library do one thing, and reads what came of it into result
// unless that is nil. What it throws fails the test.
func (c *OpenIDClient) Call(call string, args Args, result any) {
	c.t.Helper()
	raw, trouble := c.ask(call, args)
	if trouble != nil {
		c.t.Fatalf("%s: %s", call, trouble)
	}
	if result == nil {
		return
	}
	if err := json.Unmarshal(raw, result); err != nil {
		c.t.Fatalf("%s: %v in %s", call, err, raw)
	}
}

// Trouble is what the library throws when it is asked for this, or fails the
// test when it is content.
func (c *OpenIDClient) Trouble(call string, args Args) *Trouble {
	c.t.Helper()
	raw, trouble := c.ask(call, args)
	if trouble == nil {
		c.t.Fatalf("%s: no trouble, but %s", call, raw)
	}
	return trouble
}

func (c *OpenIDClient) ask(call string, args Args) (json.RawMessage, *Trouble) {
	c.t.Helper()
	question := Args{"call": call, "party": c.path}
	maps.Copy(question, args)
	var answer driverAnswer
	if err := c.node.ask(question, &answer); err != nil {
		c.t.Fatal(err)
	}
	return answer.Result, answer.Trouble
}

// AuthorizationURL is where the library sends a browser: code, PKCE, state, nonce
// and these parameters. The checks are those of authorizationCodeGrant.
func (c *OpenIDClient) AuthorizationURL(parameters, checks Args) string {
	c.t.Helper()
	all := Args{"redirect_uri": c.RedirectURI, "scope": "openid"}
	maps.Copy(all, parameters)
	var to string
	c.Call("buildAuthorizationUrl", Args{"parameters": all, "checks": checks}, &to)
	return to
}

// SignIn walks the browser to the provider and back, where the library exchanges
// the code and checks what it got.
func (c *OpenIDClient) SignIn(b *Browser, parameters, checks Args) *SignedIn {
	c.t.Helper()
	return c.Arrived(b.Walk(nil, c.AuthorizationURL(parameters, checks)).Answer)
}

// Arrived is what the library made of an answer at its redirect.
func (c *OpenIDClient) Arrived(at *Answer) *SignedIn {
	c.t.Helper()
	at.WantStatus(http.StatusOK)
	var in SignedIn
	if err := json.Unmarshal(at.Body, &in); err != nil {
		c.t.Fatalf("%v in %s", err, at)
	}
	return &in
}

// Troubled is what the library threw over an answer at its redirect.
func (c *OpenIDClient) Troubled(at *Answer) *Trouble {
	c.t.Helper()
	at.WantStatus(http.StatusBadRequest)
	var trouble Trouble
	if err := json.Unmarshal(at.Body, &trouble); err != nil {
		c.t.Fatalf("%v in %s", err, at)
	}
	return &trouble
}
