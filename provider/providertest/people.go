package providertest

import (
	"strings"

	"github.com/doorstep-id/doorstep/provider/directory"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/storage"
)

// Password is everybody's.
const Password = "correct horse battery staple"

// Person is somebody with a verified address and a password.
type Person struct {
	*storage.Person
	Email, Password string
}

// Person returns the person of this name, a short one such as "ada", who is
// created when there is none: Ada, ada@example.com.
func (p *P) Person(name string, change ...func(*directory.NewPerson)) *Person {
	p.t.Helper()
	ctx := p.t.Context()
	who := &Person{Email: name + "@example.com", Password: Password}
	known, err := p.Directory.ByEmail(ctx, who.Email)
	if err == nil {
		who.Person = known
		return who
	}
	in := directory.NewPerson{Email: who.Email, Verified: true, Name: strings.ToUpper(name[:1]) + name[1:]}
	for _, c := range change {
		c(&in)
	}
	if who.Person, err = p.Directory.Create(ctx, in, events.ActorOperator); err != nil {
		p.t.Fatal(err)
	}
	if err := p.Passwords.Set(ctx, who.Person, who.Password, events.ActorOperator); err != nil {
		p.t.Fatal(err)
	}
	return who
}

// Resource registers an API with these scopes, whose tokens live ten minutes.
func (p *P) Resource(audience string, scopes ...string) *storage.Resource {
	p.t.Helper()
	r, err := p.Clients.CreateResource(p.t.Context(), &storage.Resource{Audience: audience, Name: audience, Scopes: scopes}, events.ActorOperator)
	if err != nil {
		p.t.Fatal(err)
	}
	return r
}
