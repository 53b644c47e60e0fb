package provider

import (
	"github.com/doorstep-id/doorstep/provider/clients"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

// Restoration is how a backup is restored at now; with revokeAll nothing that was
// issued until then lives again, tokens of the command line included.
func Restoration(now storage.Time, revokeAll bool) storage.Restore {
	return storage.Restore{
		SealedWith: keys.SealedWith, Now: now, RevokeAll: revokeAll,
		LongestToken: max(clients.MaxLifetime, clients.MaxOperatorToken), Clients: []string{clients.CommandLine},
	}
}
