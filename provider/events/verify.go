package events

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// Report is what came of a verification.
type Report struct {
	First, Last int64     // the events that the chain is to have; Last is First-1 if there are none
	Checked     int64     // how many of them were walked, and held
	Heads       int64     // how many signed heads were met on the way, and said the same
	Newest      *Head     // the newest of those that were kept here, nil for none
	Since       time.Time // when the events before First were given up; zero if none was
	GivenUp     int64     // how many of those that the head from elsewhere covers were given up since, by the anchor's word
	Revoked     []string  // the keys among those that signed heads which were revoked: somebody else may have had them
	Fault       *Fault    // nil: the chain holds

	Reached Place // the last event that held, and the heads of which said the same

	begins int64 // the first event that was kept
}

// Place is an event of a chain: its hash stands for it and all before it.
type Place struct {
	Number int64 // 0: before the first
	Hash   []byte
}

// Fault is the first thing that is wrong with the chain.
type Fault struct {
	Number int64      // the first bad event: all before it hold
	ID     storage.ID // of the row that stands there; "" if none does
	Says   string

	missing bool // no row stands there: it may have been given up meanwhile
}

// Error implements error.
func (f *Fault) Error() string { return fmt.Sprintf("event %d %s", f.Number, f.Says) }

// walk is one verification under way.
type walk struct {
	from   Source
	now    time.Time
	report Report
	state  State               // as it was when the walk began, or last went on
	number int64               // the last event that held
	hash   []byte              // its hash
	kept   []storage.EventHead // those to be met

	elsewhere *Head // to be met too; nil: none
}

// Verify verifies the chain in the database, by [Verify].
func (s *Service) Verify(ctx context.Context, elsewhere string, keep time.Duration) (Report, error) {
	return Verify(ctx, s.Source(keep), elsewhere, nil, s.now())
}

// Verify walks the whole chain of a source and says whether it holds: no event was changed,
// taken out, put in or moved since it was chained, as far back as events are kept.
// Each of the kept signed heads has to say the same, and so has elsewhere, a signed
// head that somebody kept outside of what is in question; "" for none. Its event may be gone
// if the head is older than events are to be kept, at now. It takes as much memory however
// long the chain is. The error is that of whoever could not look, with the report as far as
// it came. A walk that stopped there goes on after the place that it had reached; nil begins
// with the first event. What is before it held when it was walked, and is not looked at again.
//
// A fault that is reported stands, whatever the error says beside it.
func Verify(ctx context.Context, from Source, elsewhere string, after *Place, now time.Time) (report Report, err error) {
	for range maxWalks {
		report, err = verify(ctx, from, elsewhere, after, now)
		if err != nil {
			return report, fmt.Errorf("events: verify: %w", err)
		}
		if report.Fault == nil || !report.Fault.missing {
			return report, nil
		}
		// What was given up meanwhile went on its way; then the walk begins anew after it.
		state, err := from.State(ctx)
		if err != nil {
			return report, fmt.Errorf("events: verify: whether it was given up meanwhile: %w", err)
		}
		if state.Chain.First <= report.begins {
			return report, nil
		}
	}
	return report, fmt.Errorf("events: verify: the beginning of the chain was given up %d times while it was walked", maxWalks)
}

// maxWalks is how often a walk begins anew: more than events are given up while somebody
// walks, however long that takes.
const maxWalks = 100

func verify(ctx context.Context, from Source, elsewhere string, after *Place, now time.Time) (Report, error) {
	w := &walk{from: from, now: now}
	if err := w.begin(ctx, elsewhere, after); err != nil || w.report.Fault != nil {
		return w.report, err
	}
	for more := true; more; {
		for w.number < w.state.Chain.Number {
			n, err := w.step(ctx)
			if err != nil || w.report.Fault != nil {
				return w.report, err
			}
			if n == 0 {
				break
			}
		}
		var err error
		if more, err = w.end(ctx); err != nil {
			return w.report, err
		}
	}
	return w.report, nil
}

// begin finds where the chain begins, and what it is to be held against.
func (w *walk) begin(ctx context.Context, elsewhere string, after *Place) (err error) {
	// First of all: what is chained from now on has numbers beyond it.
	if w.state, err = w.from.State(ctx); err != nil {
		return err
	}
	w.report.First, w.report.Last = w.state.Chain.First, w.state.Chain.Number
	w.report.begins = w.state.Chain.First
	w.number, w.hash = w.state.Chain.First-1, make([]byte, len(w.state.Chain.Hash))
	if w.state.Chain.First != 1 {
		anchor, err := readHead(ctx, w.from, typAnchor, w.state.Chain.Anchor)
		switch {
		case errors.Is(err, keys.ErrToken):
			w.fault(1, "", "is gone, and all up to event %d: no anchor of ours stands for them", w.number)
			return nil
		case err != nil:
			return err
		case anchor.Number != w.number || anchor.First != w.state.Chain.First:
			w.fault(min(anchor.Number, w.number)+1, "", "is gone: the anchor stands for the events up to %d, and the chain begins with event %d", anchor.Number, w.state.Chain.First)
			return nil
		}
		w.hash, w.report.Since = anchor.Hash, anchor.At
		w.revoked(anchor.Key)
	}
	if after != nil {
		if err := w.goOn(after); err != nil || w.report.Fault != nil {
			return err
		}
	}
	if elsewhere != "" {
		if err := w.takeAlong(ctx, elsewhere); err != nil || w.report.Fault != nil {
			return err
		}
	}
	return w.meet(ctx) // the heads of where it begins
}

// goOn begins after a place that a walk had reached.
func (w *walk) goOn(after *Place) error {
	switch {
	case after.Number < w.number:
		return fmt.Errorf("the walk had reached event %d, and events are kept from %d on by now: it has to begin anew", after.Number, w.state.Chain.First)
	case after.Number > w.state.Chain.Number:
		w.fault(w.state.Chain.Number+1, "", "is missing, and all up to event %d: they held, and the end was cut off since", after.Number)
	case after.Number == w.number && !bytes.Equal(after.Hash, w.hash):
		w.fault(after.Number, "", "is another one than the one that held")
	}
	w.number, w.hash = after.Number, after.Hash
	w.report.First, w.report.Reached = after.Number+1, *after // its heads are met yet
	return nil
}

func (w *walk) fault(number int64, id storage.ID, format string, args ...any) {
	if w.report.Fault == nil {
		w.report.Fault = &Fault{Number: number, ID: id, Says: fmt.Sprintf(format, args...)}
	}
}

func (w *walk) revoked(by keys.Key) {
	if by.State != keys.StateRevoked {
		return
	}
	for _, kid := range w.report.Revoked {
		if kid == by.KID {
			return
		}
	}
	w.report.Revoked = append(w.report.Revoked, by.KID)
}

// step walks one batch and returns how many rows it has.
func (w *walk) step(ctx context.Context) (int, error) {
	rows, err := w.from.ChainedEvents(ctx, w.number, batch)
	if err != nil {
		return 0, err
	}
	for i := range rows {
		e := &rows[i]
		if w.number == w.state.Chain.Number { // what comes after it was chained meanwhile, or put in
			break
		}
		if next := w.number + 1; int64(e.Number) != next {
			w.fault(next, "", "is missing: it was deleted, or given another place")
			w.report.Fault.missing = true
			return len(rows), nil
		}
		now, err := hash(w.hash, e)
		if err != nil {
			return 0, err
		}
		if !bytes.Equal(now, e.Hash) {
			w.fault(int64(e.Number), e.ID, "is not what was chained: it was changed, exchanged or put in")
			return len(rows), nil
		}
		w.number, w.hash = int64(e.Number), now
		if err := w.meet(ctx); err != nil || w.report.Fault != nil {
			return len(rows), err
		}
		w.report.Checked++
		w.report.Reached = Place{w.number, now}
	}
	return len(rows), nil
}

// meet holds the signed heads of the event that was just walked against it.
func (w *walk) meet(ctx context.Context) error {
	if len(w.kept) == 0 || w.kept[len(w.kept)-1].Number < w.number {
		var err error
		if w.kept, err = w.from.EventHeads(ctx, max(w.number-1, 0), batch); err != nil {
			return err
		}
		if len(w.kept) == 0 { // none to come: not asked again
			w.kept = []storage.EventHead{{Number: math.MaxInt64}}
		}
	}
	for len(w.kept) > 1 && w.kept[0].Number < w.number {
		w.kept = w.kept[1:]
	}
	var due []*Head
	if w.elsewhere != nil && w.elsewhere.Number == w.number {
		due = append(due, w.elsewhere)
	}
	if kept := &w.kept[0]; kept.Number == w.number {
		head, err := keptHead(ctx, w.from, kept)
		if errors.As(err, &w.report.Fault) {
			return nil
		}
		if err != nil {
			return err
		}
		w.revoked(head.Key)
		w.report.Newest = &head
		due = append(due, &head)
	}
	for _, head := range due {
		if !bytes.Equal(head.Hash, w.hash) {
			w.unfit(ctx, head, w.number, "or one before it was changed, and every hash since made anew: at %s another one was signed", head.At.Format(time.RFC3339))
			return nil
		}
		w.report.Heads++
	}
	return nil
}

// end holds the end of the walk against what the chain and the signed heads say of
// it. If a head was signed meanwhile of what was chained meanwhile there is more to walk.
func (w *walk) end(ctx context.Context) (more bool, err error) {
	if w.number < w.state.Chain.Number {
		w.fault(w.number+1, "", "is missing, and all up to event %d: the end was cut off", w.state.Chain.Number)
		w.report.Fault.missing = true
		return false, nil
	}
	if !bytes.Equal(w.hash, w.state.Chain.Hash) {
		w.fault(w.number, "", "is not the one that the chain ends with")
		return false, nil
	}
	// In this order: only what was chained is signed.
	kept, err := w.from.EventHeads(ctx, w.number, batch)
	if err != nil {
		return false, err
	}
	now, err := w.from.State(ctx)
	if err != nil {
		return false, err
	}
	chain := &now.Chain
	switch {
	case chain.Number < w.number:
		w.fault(chain.Number+1, "", "is missing, and all up to event %d: the end was cut off at this moment", w.number)
		return false, nil
	case now.Last > chain.Number:
		w.fault(chain.Number+1, "", "was never chained: it, or another one beyond the end, was put in")
		return false, nil
	}
	if w.elsewhere != nil && w.elsewhere.Number > chain.Number {
		w.cutOff(ctx, chain, w.elsewhere)
		return false, nil
	}
	more = w.elsewhere != nil && w.elsewhere.Number > w.number
	for i := range kept {
		if kept[i].Number <= chain.Number { // to be met
			more = true
			continue
		}
		head, err := keptHead(ctx, w.from, &kept[i])
		if errors.As(err, &w.report.Fault) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		w.cutOff(ctx, chain, &head)
		return false, nil
	}
	if more {
		w.state, w.report.Last, w.kept = now, chain.Number, nil
	}
	return more, nil
}

// cutOff names the end that is missing before a signed head.
func (w *walk) cutOff(ctx context.Context, chain *storage.EventChain, head *Head) {
	w.unfit(ctx, head, chain.Number+1, "is missing, and all up to event %d at least: at %s that one was signed, and the end was cut off since",
		head.Number, head.At.Format(time.RFC3339))
}
