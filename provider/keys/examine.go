package keys

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// Report is what Examine found.
type Report struct {
	KEKs    []KEKUse // of everything that is sealed, the current one first
	Records int64    // that are sealed; 0 also if one of their keys is not given
	Damaged []string // "table key" of those that their key does not open, 100 at most
	Keys    []Key    // the signing keys, unless something is damaged

	service *Service
}

// VerifyRecord is [Service.VerifyRecord].
func (r *Report) VerifyRecord(ctx context.Context, compact, typ string, algs ...string) (payload []byte, by Key, err error) {
	return r.service.VerifyRecord(ctx, compact, typ, algs...)
}

// Missing returns the key-encryption keys that are not given.
func (r *Report) Missing() []KEKUse {
	return slices.DeleteFunc(slices.Clone(r.KEKs), func(u KEKUse) bool { return u.Given })
}

// Examine opens everything that is sealed in a database, and writes nothing, not
// even the keys that New would make.
func Examine(ctx context.Context, cfg Config, store *storage.Store, now func() time.Time) (*Report, error) {
	keks, err := newRing(cfg.KEK, cfg.AcceptedKEKs, now())
	if err != nil {
		return nil, err
	}
	cfg.RereadKEKs = nil
	s := &Service{cfg: cfg, store: store, now: now}
	s.ring.Store(keks)
	report := &Report{service: s}
	if report.KEKs, err = s.KEKUses(ctx); err != nil || len(report.Missing()) > 0 {
		return report, err
	}
	if report.Records, report.Damaged, err = s.CheckSealed(ctx); err != nil || len(report.Damaged) > 0 {
		return report, err
	}
	rows, err := store.Keys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: read: %w", err)
	}
	revoked, err := store.RevokedKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("keys: read: %w", err)
	}
	set, err := s.newKeyset(rows, revoked, nil, now())
	if err != nil {
		return nil, err
	}
	report.Keys = s.list(set)
	return report, nil
}
