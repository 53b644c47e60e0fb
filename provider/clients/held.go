package clients

import (
	"strconv"
	"sync/atomic"
	"time"

	"github.com/doorstep-id/doorstep/storage"
)

// maxAge is how old what is in memory may be.
const maxAge = 3 * time.Second

// eras count how often what is in memory was found to be old, each of one kind of it.
type eras struct {
	clients   atomic.Uint64 // what is known of single clients
	lists     atomic.Uint64 // what is known of all clients
	resources atomic.Uint64
}

// moment is when something was read: it counts for maxAge, unless its era ends.
type moment struct {
	at  time.Time
	era uint64
}

// begin is the moment of a reading that begins now. What ends its era meanwhile it
// may or may not see, so that it does not count any more when it is done.
func (s *Service) begin(era *atomic.Uint64) moment { return moment{s.now(), era.Load()} }

func (s *Service) fresh(read moment, era *atomic.Uint64) bool {
	return read.era == era.Load() && s.now().Sub(read.at).Abs() < maxAge
}

// reading names a reading that serves whoever asks for the same in the same era.
func (m moment) reading(what string) string { return what + " " + strconv.FormatUint(m.era, 10) }

// Forget has what changed read again at its next use.
func (s *Service) Forget(changed storage.Changes) {
	if changed.Clients {
		s.eras.clients.Add(1)
	}
	if changed.Clients || changed.ClientsAdded {
		s.eras.lists.Add(1)
	}
	if changed.Resources {
		s.eras.resources.Add(1)
	}
}
