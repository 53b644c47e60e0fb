package clients

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

func pairwise(id string, redirects ...string) Registration {
	r := web(id)
	r.SubjectType, r.RedirectURIs = "pairwise", redirects
	return r
}

// OIDC Core section 8.1: within a sector a person has one subject, another one in
// each other sector, and it tells nothing of either.
func TestSubjectIsTheSectors(t *testing.T) {
	h := start(t)
	h.cfg.Salt = [32]byte{1}
	ada, bob := &storage.Person{ID: storage.NewID(), Sub: "p_ada"}, &storage.Person{ID: storage.NewID(), Sub: "p_bob"}
	public, _ := h.create(t, web("public"))
	shop, _ := h.create(t, pairwise("shop", "https://shop.example/cb", "https://SHOP.example:8443/other"))
	sibling, _ := h.create(t, pairwise("sibling", "https://shop.example/sibling"))
	other, _ := h.create(t, pairwise("other", "https://www.shop.example/cb"))
	if got := h.Subject(public, ada); got != ada.Sub {
		t.Errorf("the public subject is %q", got)
	}
	first := h.Subject(shop, ada)
	if !strings.HasPrefix(first, ident.SubPrefix) || len(first) != len(ident.SubPrefix)+43 || strings.Contains(first, string(ada.ID)) || isClientID(first) {
		t.Errorf("the pairwise subject is %q", first)
	}
	if h.Subject(shop, ada) != first || h.Subject(sibling, ada) != first {
		t.Error("a sector knows a person by two subjects")
	}
	seen := []string{first}
	for what, sub := range map[string]string{"another sector": h.Subject(other, ada), "another person": h.Subject(shop, bob), "both": h.Subject(other, bob)} {
		if slices.Contains(seen, sub) {
			t.Errorf("%s: the same subject", what)
		}
		seen = append(seen, sub)
	}
	h.cfg.Salt = [32]byte{2}
	if h.Subject(shop, ada) == first {
		t.Error("the salt is of no account")
	}
}

// OIDC Core section 8.1: without a sector_identifier_uri there must be one host to
// make subjects of.
func TestAPairwiseClientHasOneSector(t *testing.T) {
	h := start(t)
	for what, c := range map[string]struct {
		r    Registration
		want []string
	}{
		"one host":             {pairwise("", "https://shop.example/a", "https://shop.example:444/b"), nil},
		"localhost":            {pairwise("", "http://localhost:8081/cb"), nil},
		"two hosts":            {pairwise("", "https://shop.example/a", "https://www.shop.example/a"), []string{"sector_identifier_uri"}},
		"a private-use scheme": {changed(pairwise("", "https://shop.example/a", "com.example.shop:/cb"), func(r *Registration) { r.ApplicationType = "native" }), []string{"sector_identifier_uri"}},
		"everybody's loopback": {changed(pairwise("", "http://127.0.0.1/cb"), func(r *Registration) { r.ApplicationType = "native" }), []string{"sector_identifier_uri"}},
		"no redirects":         {changed(pairwise(""), func(r *Registration) { r.GrantTypes = []string{"client_credentials"} }), []string{"sector_identifier_uri"}},
		"another type":         {changed(web(""), func(r *Registration) { r.SubjectType = "private" }), []string{"subject_type"}},
		"several hosts, public": {changed(web(""), func(r *Registration) {
			r.RedirectURIs = []string{"https://shop.example/a", "https://www.shop.example/a"}
		}), nil},
	} {
		_, _, err := h.Create(t.Context(), c.r, events.ActorOperator)
		wantFaults(t, what, err, c.want...)
	}
	for _, uri := range []string{"http://shop.example/sector.json", "ftp://shop.example/x", "https://", "https://u@shop.example/x", "https://shop.example/x#f", "shop.example", "/x"} {
		_, _, err := h.Create(t.Context(), changed(pairwise("", "https://shop.example/a"), func(r *Registration) { r.SectorIdentifierURI = uri }), events.ActorOperator)
		wantFaults(t, uri, err, "sector_identifier_uri")
	}
}

func changed(r Registration, change func(*Registration)) Registration {
	change(&r)
	return r
}

// Nobody changes by accident by which subjects a client knows people.
func TestSubjectsChangeKnowingly(t *testing.T) {
	h := start(t)
	h.create(t, pairwise("shop", "https://shop.example/cb"))
	h.create(t, web("public"))
	for what, c := range map[string]struct{ id, patch, field string }{
		"a path of the same host":         {"shop", `{"redirect_uris": ["https://shop.example/other"]}`, ""},
		"another host":                    {"shop", `{"redirect_uris": ["https://www.shop.example/cb"]}`, "redirect_uris"},
		"public":                          {"shop", `{"subject_type": "public"}`, "subject_type"},
		"the default, which is public":    {"shop", `{"subject_type": null}`, "subject_type"},
		"pairwise":                        {"public", `{"subject_type": "pairwise"}`, "subject_type"},
		"another host of a public client": {"public", `{"redirect_uris": ["https://www.shop.example/cb"]}`, ""},
	} {
		before, err := h.Show(t.Context(), c.id)
		if err != nil {
			t.Fatal(err)
		}
		_, err = h.Update(t.Context(), c.id, []byte(c.patch), events.ActorOperator)
		var f *fault.Error
		if c.field == "" {
			if err != nil {
				t.Errorf("%s: %v", what, err)
			}
			continue
		}
		if !errors.As(err, &f) || f.Field != c.field || f.Kind != fault.KindConflict {
			t.Errorf("%s: %v, want a conflict in %s", what, err, c.field)
		}
		if after, err := h.Show(t.Context(), c.id); err != nil || after.Version != before.Version {
			t.Errorf("%s: version %d, %v, want %d", what, after.Version, err, before.Version)
		}
		if _, err := h.Update(t.Context(), c.id, []byte(c.patch), events.ActorOperator, NewSubjects); err != nil {
			t.Errorf("%s, knowingly: %v", what, err)
		}
		back := `{"subject_type": "` + before.Metadata.V.SubjectType + `", "redirect_uris": ["` + before.Metadata.V.RedirectURIs[0] + `"]}`
		if _, err := h.Update(t.Context(), c.id, []byte(back), events.ActorOperator, NewSubjects); err != nil {
			t.Fatal(err)
		}
	}
}
