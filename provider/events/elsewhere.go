package events

import (
	"context"
	"fmt"
	"time"
)

// takeAlong takes the head from elsewhere along. It says which events were kept when it was
// signed, and that weighs more than an anchor: who has the keys signs any.
func (w *walk) takeAlong(ctx context.Context, token string) error {
	head, err := ReadHead(ctx, w.from, token)
	if err != nil {
		return fmt.Errorf("the head from elsewhere: %w", err)
	}
	w.revoked(head.Key)
	first, keep := w.state.Chain.First, w.state.Keep
	signed := head.At.Format(time.RFC3339)
	switch {
	case head.Number < w.report.Reached.Number:
		return fmt.Errorf("the head from elsewhere is that of event %d, and the walk goes on after event %d: it has to begin anew", head.Number, w.report.Reached.Number)
	case first <= head.First && first <= head.Number+1: // none was given up since
	case keep == 0:
		w.fault(min(head.First, head.Number+1), "", "is gone, and all up to event %d: a head of it was signed at %s, and events are to be kept for ever (unless that was less when they went)", first-1, signed)
		return nil
	case first > head.Number+1 && !head.At.Before(w.now.Add(-keep)):
		w.fault(head.Number+1, "", "is gone, and all up to event %d: they came after a head that was signed at %s, and are to be kept for %s (unless that was less when they went)", first-1, signed, keep)
		return nil
	case first > head.Number:
		return fmt.Errorf("the head from elsewhere is that of event %d, and all that it covers was given up since, by the anchor's word, as events are kept from %d on: a newer one is needed", head.Number, first)
	default:
		w.report.GivenUp = first - head.First
	}
	w.elsewhere = &head
	return nil
}

// unfit is fault for a signed head that does not fit the chain.
func (w *walk) unfit(ctx context.Context, head *Head, number int64, format string, args ...any) {
	w.fault(number, "", format, args...)
	if head == w.elsewhere { // those that are kept here come and go with the chain
		w.report.Fault.Says += w.restoreAfter(ctx, head)
	}
}

// restoreAfter says what the chain tells of a backup that was made before a head was
// signed, and restored after that; "" if it knows of none. Whoever can write rows can
// have it say so.
func (w *walk) restoreAfter(ctx context.Context, head *Head) (says string) {
	err := w.from.Restores(ctx, head.At, func(r Restore) bool {
		if r.MadeAt.Truncate(time.Second).After(head.At) {
			return true
		}
		says = fmt.Sprintf("; event %d says that a backup of %s was restored at %s: if that was you, what was chained in between is gone, its numbers were given again, and heads that were signed in between fit no more",
			r.Number, r.MadeAt.UTC().Format(time.RFC3339), r.At.Format(time.RFC3339))
		return false
	})
	if err != nil && says == "" {
		return fmt.Sprintf("; whether a backup was restored since could not be asked (%v)", err)
	}
	return says
}
