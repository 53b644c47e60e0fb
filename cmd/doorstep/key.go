package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/fault"
	"github.com/doorstep-id/doorstep/provider/keys"
)

func (a *app) keyCommand() *cobra.Command {
	list := &cobra.Command{
		Use:   "list",
		Short: "List signing keys",
		Long: `List signing keys. A key is next (published, does not sign yet), signing, retired
(published while its last tokens live), hint (verifies id_token_hint only), forgotten
or revoked. A server publishes the successor of one that signs at ROTATES, or soon after
(keys.rotate_every).`,
		Example: "  doorstep key list",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			all, err := listKeys(ctx, o)
			if err != nil {
				return err
			}
			return a.printKeys(all)
		}),
	}
	var algorithm string
	rotate := &cobra.Command{
		Use:   "rotate",
		Short: "Publish successors of the signing keys",
		Long: `Publish successors of the signing keys. A successor signs once every client's copy
of the published keys has lapsed (keys.jwks_max_age and 5 s, which must be the servers'
own setting); its predecessor retires then. Nothing breaks, and no server needs to be
told.`,
		Example: "  doorstep key rotate\n  doorstep key rotate --algorithm RS256",
		Args:    cobra.NoArgs,
		RunE: a.onAPI(func(ctx context.Context, o *operators, _ []string) error {
			fresh, err := rotate(ctx, o, algorithm)
			if len(fresh) == 0 {
				return err
			}
			return errors.Join(err, a.printKeys(fresh)) // those are published, whatever ended it
		}),
	}
	rotate.Flags().Func("algorithm", "`name` of one: ES256, RS256, which PS256 shares, or EdDSA (default: all that there are)", func(name string) error {
		algorithm = name
		if !slices.Contains([]string{keys.ES256, keys.RS256, keys.PS256, keys.EdDSA}, name) {
			return errors.New("must be ES256, RS256, PS256 or EdDSA")
		}
		return nil
	})
	revoke, rotateKEK := a.revokeKeyCommand(), a.rotateKEKCommand()
	for _, cmd := range []*cobra.Command{list, rotate, revoke, rotateKEK} {
		addSettingFlags(cmd, append(databaseSettings, "keys.jwks_max_age", "keys.rotate_every")...)
	}
	return a.group("key", "Look after the keys that sign tokens, and the one that seals them", list, rotate, revoke, rotateKEK)
}

// listKeys returns every signing key, oldest first.
func listKeys(ctx context.Context, o *operators) ([]api.Key, error) {
	var all api.Page[api.Key]
	err := o.get(ctx, "/keys", &all)
	return all.Items, err
}

// rotate gives a successor to the key of one algorithm, or of all if it is "".
// With an error it returns those that were made before it.
func rotate(ctx context.Context, o *operators, algorithm string) ([]api.Key, error) {
	algorithms := []string{algorithm}
	if algorithm == "" {
		all, err := listKeys(ctx, o)
		if err != nil {
			return nil, err
		}
		algorithms = nil
		for i := range all {
			if all[i].State == string(keys.StateSigning) {
				algorithms = append(algorithms, all[i].Algorithm)
			}
		}
		slices.Sort(algorithms)
		algorithms = slices.Compact(algorithms)
	}
	var fresh []api.Key
	for _, alg := range algorithms {
		var key api.Key
		err := o.post(ctx, "/keys/rotate", api.KeyRotation{Algorithm: alg}, &key)
		if isConflict(err) {
			err = fmt.Errorf("somebody else is rotating the %s key at this moment", alg)
		}
		if err != nil {
			return fresh, err
		}
		fresh = append(fresh, key)
	}
	return fresh, nil
}

// isConflict reports whether err says that somebody else was first.
func isConflict(err error) bool {
	var f *fault.Error
	return errors.As(err, &f) && f.Kind == fault.KindConflict
}

type printedKey struct {
	KID       string  `json:"kid"`
	Alg       string  `json:"alg"`
	State     string  `json:"state"`
	CreatedAt *string `json:"created_at"`
	ActiveAt  *string `json:"active_at"`
	RetiredAt *string `json:"retired_at"`
	ExpiresAt *string `json:"expires_at"`
	RotatesAt *string `json:"rotates_at"`
}

func printed(k *api.Key) printedKey {
	return printedKey{
		k.KID, k.Algorithm, k.State, momentOf(&k.CreatedAt), momentOf(&k.ActiveAt), momentOf(k.RetiredAt), momentOf(k.ExpiresAt), momentOf(k.RotatesAt),
	}
}

func (a *app) printKeys(all []api.Key) error {
	out := make([]printedKey, 0, len(all))
	for i := range all {
		out = append(out, printed(&all[i]))
	}
	return a.print(out, func(w io.Writer) {
		row(w, "KID", "ALG", "STATE", "SIGNS FROM", "TO", "PUBLISHED TO", "ROTATES")
		for _, k := range out {
			row(w, k.KID, k.Alg, k.State, show(k.ActiveAt), show(k.RetiredAt), show(k.ExpiresAt), show(k.RotatesAt))
		}
	})
}
