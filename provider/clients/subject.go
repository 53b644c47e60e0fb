package clients

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/url"
	"strings"

	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/storage"
)

// Subject types of OpenID Connect Core section 8.
const (
	subjectPublic   = "public"
	subjectPairwise = "pairwise"
)

// SubjectTypes returns what a client may register.
func SubjectTypes() []string { return []string{subjectPublic, subjectPairwise} }

// IsPairwise reports whether a client knows people by subjects of its sector's own.
func IsPairwise(c *storage.Client) bool { return c.Metadata.V.SubjectType == subjectPairwise }

// Subject returns the subject of a person as this client knows them: the public
// one, or for a pairwise client one that only the clients of its sector share
// (OIDC Core section 8.1). It is the same for as long as the database lives, costs
// no statement, and from it nobody learns the person or another sector's subject.
// It begins as every person's does, and so is no client's id.
func (s *Service) Subject(c *storage.Client, p *storage.Person) string {
	if !IsPairwise(c) {
		return p.Sub
	}
	mac := hmac.New(sha256.New, s.cfg.Salt[:])
	mac.Write([]byte(sectorOf(&c.Metadata.V) + "\x00" + string(p.ID))) // no host has a NUL in it
	return ident.SubPrefix + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// sectorOf returns the sector identifier of a registration that was accepted: the
// host of its sector_identifier_uri, else the one host of its redirects.
func sectorOf(m *storage.ClientMetadata) string {
	if m.SectorIdentifierURI != "" {
		return hostOf(m.SectorIdentifierURI)
	}
	if len(m.RedirectURIs) > 0 {
		return hostOf(m.RedirectURIs[0])
	}
	return ""
}

// hostOf returns the host of an http(s) URI, in lower case and without its port,
// "" for any other URI.
func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return ""
	}
	return strings.ToLower(u.Hostname())
}

// subjects checks what the client is to know people by (OIDC Core section 8.1).
func (f *faults) subjects(r *Registration) {
	f.oneOf("subject_type", r.SubjectType, SubjectTypes()...)
	if uri := r.SectorIdentifierURI; uri != "" {
		if problem := sectorProblem(uri); problem != "" {
			f.add(fieldSector, "%q %s", shortened(uri), problem)
		}
		return
	}
	if r.SubjectType != subjectPairwise {
		return
	}
	if len(r.RedirectURIs) == 0 {
		f.add(fieldSector, "is needed for subject_type pairwise where there are no redirect_uris")
		return
	}
	for _, uri := range r.RedirectURIs {
		switch host := hostOf(uri); {
		case host == "":
			f.add(fieldSector, "is needed for subject_type pairwise: the redirect %q has no host", shortened(uri))
			return
		case r.ApplicationType == typeNative && isLoopback(host):
			// All apps of all devices share it, so it would keep no two of them apart.
			f.add(fieldSector, "is needed for subject_type pairwise: the host of %q is everybody's", shortened(uri))
			return
		case host != hostOf(r.RedirectURIs[0]):
			f.add(fieldSector, "is needed for subject_type pairwise: redirect_uris have the hosts %s and %s", hostOf(r.RedirectURIs[0]), host)
			return
		}
	}
}

// sectorProblem says what is wrong with a sector_identifier_uri, "" if nothing is.
func sectorProblem(uri string) string {
	u, problem := parseURI(uri)
	switch {
	case problem != "":
		return problem
	case u.Scheme != "https":
		return "must be https"
	}
	return hostProblem(u)
}

// A Knowingly is a change of a registration that is refused unless it is meant.
type Knowingly string

// NewSubjects lets a client lose sight of its people: it will know everybody by
// another subject than before.
const NewSubjects Knowingly = "new subjects"

// checkSubjects refuses an update after which the client would know people by
// other subjects.
func checkSubjects(before, after *storage.ClientMetadata) error {
	was, is := before.SubjectType == subjectPairwise, after.SubjectType == subjectPairwise
	if was == is && (!is || sectorOf(before) == sectorOf(after)) {
		return nil
	}
	field := "subject_type"
	if was == is {
		field = fieldSector
		if before.SectorIdentifierURI == after.SectorIdentifierURI {
			field = "redirect_uris"
		}
	}
	return fault.Conflict(field, "would give everybody another subject: the client will take those who come back for strangers. If that is meant, say so (--new-subjects)")
}
