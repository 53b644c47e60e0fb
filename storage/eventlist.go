package storage

import (
	"context"

	"gorm.io/gorm"
)

// EventFilter chooses events; what is empty chooses all.
type EventFilter struct {
	Kind, Outcome, Actor, ActorID, ClientID, RequestID string

	Kinds        []string // any of these
	PersonID     ID
	Since, Until Time // Since is among them, Until is not
}

const (
	// scanMost is how many numbers a page looks through where no index leads to what
	// it wants.
	scanMost = 50_000
	// lateMost is how many events may be chained between one that has a time and
	// another that was recorded at the same time and committed late.
	lateMost = 10_000
)

// EventsBefore returns up to limit chained events that f chooses, whose numbers come
// before the given one (0: from the newest), the newest first, and where to go on: 0
// when nothing is left. There may be more although it returns fewer than limit, or
// none: it looks through a bounded part of the table. ErrNotFound: an id in another
// form than ParseID takes, which names nobody.
func (s *Store) EventsBefore(ctx context.Context, f EventFilter, before int64, limit int) (events []Event, next int64, err error) {
	if f.PersonID != "" {
		if _, err := ParseID(string(f.PersonID)); err != nil {
			return nil, 0, err
		}
	}
	low, high, err := s.eventBounds(ctx, f, before)
	if err != nil || low >= high {
		return nil, 0, err
	}
	from := low
	if f.PersonID == "" && f.ClientID == "" && f.RequestID == "" {
		from = max(low, high-scanMost)
	}
	query := s.db(ctx).Where("number >= ? AND number < ?", from, high).Order("number DESC").Limit(limit)
	if f.PersonID != "" {
		query = query.Where("person_id = ?", f.PersonID)
	}
	for _, is := range []struct{ column, value string }{ // in one order: each statement is prepared and kept
		{"kind = ?", f.Kind}, {"outcome = ?", f.Outcome}, {"actor = ?", f.Actor}, {"actor_id = ?", f.ActorID}, {"client_id = ?", f.ClientID}, {"request_id = ?", f.RequestID},
	} {
		if is.value != "" {
			query = query.Where(is.column, is.value)
		}
	}
	if len(f.Kinds) > 0 {
		query = query.Where("kind IN ?", f.Kinds)
	}
	if !f.Since.IsZero() {
		query = query.Where("created_at >= ?", f.Since)
	}
	if !f.Until.IsZero() {
		query = query.Where("created_at < ?", f.Until)
	}
	if err := query.Find(&events).Error; err != nil {
		return nil, 0, translate(err)
	}
	next = from
	if len(events) == limit {
		next = int64(events[limit-1].Number)
	}
	if next <= low {
		next = 0
	}
	return events, next, nil
}

// eventBounds returns the numbers, low among them and high not, between which the
// events are that f chooses.
func (s *Store) eventBounds(ctx context.Context, f EventFilter, before int64) (low, high int64, err error) {
	chain, err := s.Chain(ctx)
	if err != nil {
		return 0, 0, err
	}
	low, high = chain.First, chain.Number+1
	if before > 0 {
		high = min(high, before)
	}
	bounds := s.db(ctx).Model(&Event{}).Where("number IS NOT NULL").Limit(1)
	if !f.Since.IsZero() {
		first, err := pluckNumber(bounds.Session(&gorm.Session{}).Where("created_at >= ?", f.Since).Order("created_at"))
		if err != nil || first == 0 {
			return 0, 0, err
		}
		low = max(low, first-lateMost)
	}
	if !f.Until.IsZero() {
		last, err := pluckNumber(bounds.Session(&gorm.Session{}).Where("created_at < ?", f.Until).Order("created_at DESC"))
		if err != nil || last == 0 {
			return 0, 0, err
		}
		high = min(high, last+lateMost)
	}
	return low, high, nil
}

// pluckNumber returns the number that the query finds, 0 for none.
func pluckNumber(query *gorm.DB) (int64, error) {
	var numbers []int64
	if err := query.Pluck("number", &numbers).Error; err != nil || len(numbers) == 0 {
		return 0, translate(err)
	}
	return numbers[0], nil
}
