package proof

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/doorstep-id/doorstep/policy"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/ident"
	"github.com/doorstep-id/doorstep/provider/mail"
	"github.com/doorstep-id/doorstep/storage"
)

const (
	// ParamLink has the secret of a notice's link.
	ParamLink = "key"
	// linkLives is how long after a change who was told of it may say, with what they had
	// before it, that it was not them.
	linkLives  = ident.Settles
	linkBytes  = 32
	disownedBy = "disowned" // for the audit
)

// link is a new link about what happened at that time, and its secret, which only the mail has.
func (n *Notices) link(person storage.ID, address string, since storage.Time) (*storage.DisownLink, string) {
	raw := make([]byte, linkBytes)
	_, _ = rand.Read(raw) // never fails
	secret := base64.RawURLEncoding.EncodeToString(raw)
	return &storage.DisownLink{
		SecretHash: hashLink(secret), PersonID: person, Address: address, Since: since,
		CreatedAt: storage.At(n.now()), ExpiresAt: storage.At(since.Add(linkLives)),
	}, secret
}

func hashLink(secret string) []byte {
	sum := sha256.Sum256([]byte("disown link\x00" + secret))
	return sum[:]
}

// Link returns the living link that has this secret. It says that whoever has it reads
// that address, and nothing more of who they are. storage.ErrNotFound: it was used, lapsed, is
// none, or its address is not the person's any more.
func (n *Notices) Link(ctx context.Context, secret string) (*storage.DisownLink, error) {
	return n.LinkOf(ctx, hashLink(secret))
}

// LinkOf is [Notices.Link] of the hash.
func (n *Notices) LinkOf(ctx context.Context, hash []byte) (*storage.DisownLink, error) {
	link, err := n.store.DisownLink(ctx, hash, storage.At(n.now()))
	if err != nil {
		return nil, fmt.Errorf("proof: link: %w", err)
	}
	return link, nil
}

// Factor is a passkey, an authenticator or a phone, as its owner knows it.
type Factor struct {
	ID   storage.ID
	Kind mail.Factor
	Name string
}

// Disowning is what somebody says was not them.
type Disowning struct {
	Person storage.ID
	Keep   storage.ID // the session in which they say so; "" for none yet
	Device storage.ID // the browser in which they do; "" if it is not known
	What   string     // the kind of the event, or of the mail that told of it
	Since  time.Time  // when it was
	Also   storage.ID // the factor that it was about; "" for none
	Link   []byte     // by which they say so, as its hash; nil for none
}

// Doubts returns which factors [Notices.Disown] would send to be reviewed.
func (n *Notices) Doubts(ctx context.Context, person storage.ID, since time.Time, also storage.ID) ([]Factor, error) {
	keys, err := n.store.PasskeysOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("proof: disown: %w", err)
	}
	apps, err := n.store.TOTPsOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("proof: disown: %w", err)
	}
	phones, err := n.store.PhonesOf(ctx, person)
	if err != nil {
		return nil, fmt.Errorf("proof: disown: %w", err)
	}
	var out []Factor
	add := func(f Factor, added, doubted storage.Time) {
		if doubted.IsZero() && (f.ID == also || !added.Before(storage.At(since).Time)) {
			out = append(out, f)
		}
	}
	for _, k := range keys {
		add(Factor{k.ID, mail.FactorPasskey, k.Name}, k.CreatedAt, k.DoubtedAt)
	}
	for _, a := range apps {
		add(Factor{a.ID, mail.FactorTOTP, a.Name}, a.ConfirmedAt, a.DoubtedAt)
	}
	for _, p := range phones {
		add(Factor{p.ID, mail.FactorPhone, ident.MaskPhone(p.Number)}, p.VerifiedAt, p.DoubtedAt)
	}
	return out, nil
}

// Disown takes all from whoever did what a person says was not them, in one unit with
// the event: every other session and every grant ends, also those with offline_access,
// and every app has to ask again, every other browser is forgotten, and recovery codes that were made since are gone.
// Factors that were added since count for nothing, neither to prove with nor as what was
// proven, until the person says which are theirs ([TOTP.Trust], [Passkey.Trust], [Phones.Trust]). It returns
// which sessions ended, whose clients are to be told once the unit was carried out. Whether
// the person may say so, and whether the session in which they do still lives and the link of
// it, flow knows. By a link addresses that were verified since are not any more: the link's own was
// before.
func (n *Notices) Disown(ctx context.Context, d Disowning) (ended []storage.ID, err error) {
	now := storage.At(n.now())
	others, err := n.store.SessionsOf(ctx, d.Person, now, storage.Page{Limit: 100}) // of more the clients hear a little later
	if err != nil {
		return nil, fmt.Errorf("proof: disown: %w", err)
	}
	doubted, err := n.Doubts(ctx, d.Person, d.Since, d.Also)
	if err != nil {
		return nil, err
	}
	said := disowned{What: d.What, Since: storage.At(d.Since).Time, Session: d.Keep, ByLink: d.Link != nil, Doubted: []storage.ID{}}
	for _, f := range doubted {
		said.Doubted = append(said.Doubted, f.ID)
	}
	err = n.store.Together(ctx, func(ctx context.Context) error {
		err := n.store.Disown(ctx, storage.Disowning{
			PersonID: d.Person, Keep: d.Keep, Device: d.Device, Since: storage.At(d.Since), Also: d.Also, Link: d.Link, Why: disownedBy, Now: now,
			Asking: string(policy.AskUnusual), Lowered: string(policy.AskSensitive),
		})
		if err != nil {
			return err
		}
		return n.events.Record(ctx, events.Event{Kind: events.AccountDisowned, Actor: events.ActorPerson, Person: d.Person, Data: said})
	})
	if err != nil {
		return nil, fmt.Errorf("proof: disown: %w", err)
	}
	for i := range others.Items {
		if id := others.Items[i].ID; id != d.Keep {
			ended = append(ended, id)
		}
	}
	return ended, nil
}

type disowned struct {
	What    string       `json:"what"`
	Since   time.Time    `json:"since"`
	Session storage.ID   `json:"session,omitempty"` // in which it was said
	ByLink  bool         `json:"by_link"`
	Doubted []storage.ID `json:"doubted"`
}
