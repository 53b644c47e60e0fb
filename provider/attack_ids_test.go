package provider_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/providertest"
	"github.com/doorstep-id/doorstep/provider/web"
	"github.com/doorstep-id/doorstep/storage"
)

// OWASP ASVS 5.0 1.2.4: lists come in an order of ours; where a page begins is a
// value, never a piece of SQL.
func TestAttack85ListsTakeNoOrdersFromOutside(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		p.Client("web")
		for _, name := range []string{"ada", "bob", "eve"} {
			p.Person(name)
		}
		first, err := p.Directory.List(t.Context(), "", storage.Page{Limit: 2})
		if err != nil || len(first.Items) != 2 {
			t.Fatalf("%d people, %v", len(first.Items), err)
		}
		rest, err := p.Directory.List(t.Context(), "", storage.Page{After: first.Next, Limit: 2})
		if err != nil || len(rest.Items) != 1 || rest.Items[0].ID <= first.Items[1].ID {
			t.Fatalf("the second page: %v, %v", rest, err)
		}
		for _, cursor := range []string{"zzz') OR ('1'='1", "zzz' OR '1'='1", "zzz\" OR 1=1 --", "zzz; DROP TABLE clients"} {
			for what, list := range listsByName(t, p, storage.Page{After: cursor}) {
				if rows, err := list(); err != nil || rows != 0 {
					t.Errorf("after %q: %d %s, %v", cursor, rows, what, err)
				}
			}
		}
		join(t, p, "ada", "shop")
		for _, cursor := range hostileIDs(first.Items[0].ID) {
			for what, list := range listsByID(t, p, storage.Page{After: cursor}) {
				if rows, err := list(); !errors.Is(err, storage.ErrCursor) || rows != 0 {
					t.Errorf("after %q: %d %s, %v", cursor, rows, what, err)
				}
			}
		}
		if n, err := p.Events.Sequence(t.Context()); err != nil || n == 0 {
			t.Fatalf("%d events, %v", n, err)
		}
		for _, s := range append(hostileIDs(first.Items[0].ID), "x' OR '1'='1", "kind", "created_at DESC") {
			for what, f := range map[string]events.Filter{
				"kind": {Kind: events.Kind(s)}, "outcome": {Outcome: events.Outcome(s)}, "client": {Client: s},
				"actor": {Actor: events.Actor(s)}, "actor's id": {ActorID: s}, "request": {RequestID: s},
			} {
				if some, err := p.Events.List(t.Context(), f, 0, 10); err != nil || len(some.Events) != 0 {
					t.Errorf("%s %q: %d events, %v", what, s, len(some.Events), err)
				}
			}
		}
		for _, cursor := range []string{"a\x00", "\xff"} {
			for what, list := range listsByName(t, p, storage.Page{After: cursor}) {
				if _, err := list(); !errors.Is(err, storage.ErrCursor) {
					t.Errorf("after %q: %s, %v", cursor, what, err)
				}
			}
		}
	})
	for _, at := range madeOrders(t) {
		t.Errorf("%s: an order that is no literal", at)
	}
}

// listsByName are the lists whose pages begin after a name, and how many rows they give.
func listsByName(t *testing.T, p *providertest.P, page storage.Page) map[string]func() (int, error) {
	ctx, ada := t.Context(), p.Person("ada")
	return map[string]func() (int, error){
		"clients":            func() (int, error) { return rowsOf(p.Store.Clients(ctx, page)) },
		"resources":          func() (int, error) { return rowsOf(p.Clients.PageResources(ctx, page)) },
		"groups":             func() (int, error) { return rowsOf(p.Directory.Groups(ctx, page)) },
		"groups of a person": func() (int, error) { return rowsOf(p.Directory.GroupsOf(ctx, ada.Sub, page)) },
		"people by address":  func() (int, error) { return rowsOf(p.Directory.List(ctx, "a", page)) },
	}
}

// listsByID are those whose pages begin after an id.
func listsByID(t *testing.T, p *providertest.P, page storage.Page) map[string]func() (int, error) {
	ctx, ada := t.Context(), p.Person("ada")
	return map[string]func() (int, error){
		"people":   func() (int, error) { return rowsOf(p.Directory.List(ctx, "", page)) },
		"sessions": func() (int, error) { return rowsOf(p.Sessions.List(ctx, ada.ID, page)) },
		"grants":   func() (int, error) { return rowsOf(p.Grants.List(ctx, ada.ID, "", page)) },
		"members":  func() (int, error) { return rowsOf(p.Directory.Members(ctx, "shop", page)) },
	}
}

func rowsOf[T any](list storage.List[T], err error) (int, error) { return len(list.Items), err }

// madeOrders finds calls of gorm's Order whose argument was put together.
func madeOrders(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "storage", "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var found []string
	literals := 0
	for _, name := range files {
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			if f, ok := call.Fun.(*ast.SelectorExpr); !ok || f.Sel.Name != "Order" {
				return true
			}
			if _, ok := call.Args[0].(*ast.BasicLit); ok {
				literals++
			} else {
				found = append(found, fset.Position(call.Pos()).String())
			}
			return true
		})
	}
	if literals == 0 {
		t.Error("no order was found at all")
	}
	return found
}

// hostileIDs are ids that are none, some of which a database would read as this one.
func hostileIDs(id storage.ID) []string {
	s := string(id)
	return []string{
		"1=1) OR (1=1", "1 OR 1=1", "' OR '1'='1", s + "' OR '1'='1", s + "' --", s + ") OR (1=1", "id = id", "0", "-1", "null", "true",
		strings.ToUpper(s), "{" + s + "}", "urn:uuid:" + s, strings.ReplaceAll(s, "-", ""), " " + s, s + " ", s + "\n", "../" + s, s[:35],
		strings.Repeat("a", 2000), "%s%s%s", "${jndi:ldap://x}", "{{.}}",
	}
}

// OWASP ASVS 5.0 1.2.4, 8.2.2: gorm takes a string for a condition; an id that is
// not in its one form names nothing, on every database alike.
func TestAttack86StringIsNoCondition(t *testing.T) {
	t.Parallel()
	providertest.Each(t, func(t *testing.T, p *providertest.P) {
		rp := p.Client("web")
		ada := p.Person("ada")
		ctx, now := t.Context(), storage.At(p.Clock.Now())
		b := p.Browser().SignIn("ada")
		b.Authorize(rp, "openid")
		b.StopAt(web.PathAccount)
		pending := b.Ask(rp, "openid", providertest.With("prompt", "select_account"))
		own := storage.ID(pending.URL.Query().Get("i"))
		b.Get(pending.URL.String()).WantStatus(http.StatusOK)

		for _, id := range hostileIDs(own) {
			q := "?" + url.Values{"i": {id}}.Encode()
			for _, path := range []string{web.PathSignIn, web.PathAccount, web.PathConsent, web.PathSignOut, web.PathAuthorize} {
				if a := b.Get(p.URL(path) + q); a.Status != http.StatusNotFound {
					t.Errorf("%s?i=%q: %s", path, id, a)
				}
			}
			cancel := b.Filled(pending.URL.String())
			cancel.URL.Path, cancel.URL.RawQuery = pathCancel, q[1:]
			if a := b.Send(cancel); a.Status != http.StatusNotFound {
				t.Errorf("%s?i=%q: %s", pathCancel, id, a)
			}
			if a := b.Send(b.Filled(pending.URL.String(), providertest.With("account", id))); a.Status != http.StatusNotFound {
				t.Errorf("account %q: %s", id, a)
			}
			wantOwnPage(t, "client "+id, p.Get(web.PathAuthorize+"?"+url.Values{"client_id": {id}, "redirect_uri": {rp.RedirectURI}}.Encode()))
			stranger := *rp
			stranger.ID = id
			if a := stranger.ClientCredentials(); a.Status != http.StatusUnauthorized && a.Status != http.StatusBadRequest {
				t.Errorf("client %q: %s", id, a)
			}
		}
		for _, id := range hostileIDs(ada.ID) {
			if _, err := p.Directory.Show(ctx, id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("person %q: %v", id, err)
			}
			_, sessions := rowsOf(p.Sessions.List(ctx, storage.ID(id), storage.Page{}))
			_, grants := rowsOf(p.Grants.List(ctx, storage.ID(id), "", storage.Page{}))
			for what, err := range map[string]error{
				"sessions of": sessions, "grants of": grants,
				"end of session": p.Sessions.EndByID(ctx, id, "x", events.ActorOperator), "end of sessions of": p.Sessions.EndAll(ctx, storage.ID(id), "x", events.ActorOperator),
				"end of grant": p.Grants.RevokeByID(ctx, id, events.ActorOperator, "x"), "end of person": p.Directory.Delete(ctx, id, events.ActorOperator),
			} {
				if !errors.Is(err, storage.ErrNotFound) {
					t.Errorf("%s %q: %v", what, id, err)
				}
			}
			if some, err := p.Events.List(ctx, events.Filter{Person: storage.ID(id)}, 0, 10); !errors.Is(err, storage.ErrNotFound) || len(some.Events) != 0 {
				t.Errorf("events of %q: %d, %v", id, len(some.Events), err)
			}
			if err := p.Events.Erase(ctx, storage.ID(id)); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("erasing %q: %v", id, err)
			}
			if rows, err := rowsOf(p.Grants.List(ctx, ada.ID, id, storage.Page{})); err != nil || rows != 0 {
				t.Errorf("grants for the client %q: %d, %v", id, rows, err)
			}
			if _, err := p.Clients.Show(ctx, id); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("client %q: %v", id, err)
			}
			if err := p.Directory.AddMember(ctx, "operators", id, events.ActorOperator); !errors.Is(err, storage.ErrNotFound) {
				t.Errorf("member %q: %v", id, err)
			}
			wantNoRow(t, p.Store, storage.ID(id), now)
		}
	})
}

// wantNoRow asks every reader of the store that takes an id.
func wantNoRow(t *testing.T, s *storage.Store, id storage.ID, now storage.Time) {
	t.Helper()
	ctx := t.Context()
	_, person := s.Person(ctx, id)
	_, session := s.Session(ctx, id)
	_, grant := s.GrantByID(ctx, id)
	_, interaction := s.Interaction(ctx, id, []byte("x"), now)
	_, decision := s.DecisionByID(ctx, id)
	_, history := s.HistoryOf(ctx, id)
	_, password := s.PasswordOf(ctx, id)
	_, consent := s.ConsentOf(ctx, id, "web")
	_, device := s.DeviceKnown(ctx, id, id, now)
	_, deviceOf := s.DeviceOf(ctx, id, id, now)
	_, arrival := s.LoadArrival(ctx, id, "", now)
	_, devices := s.DevicesOf(ctx, id, now, 1)
	_, groups := s.GroupsOf(ctx, id, storage.Page{})
	for what, err := range map[string]error{
		"Person": person, "Session": session, "GrantByID": grant, "Interaction": interaction, "DecisionByID": decision,
		"HistoryOf": history, "PasswordOf": password, "ConsentOf": consent, "DeviceKnown": device, "DeviceOf": deviceOf, "LoadArrival": arrival, "DevicesOf": devices, "ForgetDevice": s.ForgetDevice(ctx, id, id), "GroupsOf": groups, "RemoveMember": s.RemoveMember(ctx, "operators", id),
		"DisablePerson": s.DisablePerson(ctx, id, now), "EndSession": s.EndSession(ctx, id, storage.At(now.Add(time.Second))),
	} {
		if !errors.Is(err, storage.ErrNotFound) {
			t.Errorf("%s of %q: %v, want not found", what, id, err)
		}
	}
}
