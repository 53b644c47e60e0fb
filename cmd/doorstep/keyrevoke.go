package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider"
	"github.com/doorstep-id/doorstep/provider/events"
	"github.com/doorstep-id/doorstep/provider/keys"
	"github.com/doorstep-id/doorstep/storage"
)

func (a *app) revokeKeyCommand() *cobra.Command {
	var yes bool
	cmd := &cobra.Command{
		Use:   "revoke KID",
		Short: "End a signing key everywhere, within five seconds",
		Long: `End a signing key everywhere, within five seconds: for a key that somebody else may
have. It leaves the published keys and verifies nothing any more, and if it was the one
that signs, another signs at once. Tokens in use break, so it says which, and does
nothing without --yes. To change keys without breaking anything, use 'doorstep key rotate'.`,
		Example: "  doorstep key list\n  doorstep key revoke CkVbfOgu04ZTS2S_GNwz          # says what it would break\n  doorstep key revoke CkVbfOgu04ZTS2S_GNwz --yes",
		Args:    cobra.ExactArgs(1),
		RunE: a.inHouse(func(ctx context.Context, s *provider.Services, args []string) error {
			return a.revokeKey(ctx, s, args[0], yes)
		}),
	}
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// revokeKey revokes a key, or says without yes what that would break.
func (a *app) revokeKey(ctx context.Context, s *provider.Services, kid string, yes bool) error {
	if !yes {
		all, err := s.Keys.List(ctx)
		if err != nil {
			return err
		}
		at := slices.IndexFunc(all, func(k keys.Key) bool { return k.KID == kid })
		if at < 0 {
			return notFound(storage.ErrNotFound, "key", kid)
		}
		if all[at].State == keys.StateRevoked {
			return a.printRevoked(keys.Revoked{Key: all[at]}, nil)
		}
		breaks := breaksOf(all[at].State)
		if all[at].State == keys.StateSigning {
			breaks = append(breaks, "Its next key signs at once; if there is none, a new one, which "+unknown(s.Keys.MaxAge()))
		}
		return &usageError{fmt.Sprintf("to revoke the key %s cannot be undone:\n  %s\nAdd --yes to do it.", kid, strings.Join(breaks, "\n  "))}
	}
	revoked, err := s.RevokeKey(ctx, kid, events.ActorOperator)
	for try := 0; errors.Is(err, storage.ErrStale) && try < 3; try++ {
		revoked, err = s.RevokeKey(ctx, kid, events.ActorOperator)
	}
	if err != nil {
		return notFound(err, "key", kid)
	}
	if revoked.State == keys.StateRevoked {
		return a.printRevoked(revoked, nil)
	}
	breaks := breaksOf(revoked.State)
	if revoked.Made {
		breaks = append(breaks, "A new key, "+revoked.Successor.KID+", signs from now on, which "+unknown(s.Keys.MaxAge()))
	}
	return a.printRevoked(revoked, breaks)
}

// breaksOf says in words what ends with a key in this state.
func breaksOf(state keys.State) []string {
	tokens := "Access tokens that it signed are refused here (userinfo, introspection) at once, ID tokens as hints too; who has one asks for another with the refresh token."
	apis := "An API that verifies tokens by itself takes them until its copy of the published keys lapses."
	people := "Refresh tokens, codes and sessions live on: nobody has to sign in again."
	switch state {
	case keys.StateNext:
		return []string{"It has signed nothing: no token breaks, and its predecessor signs on."}
	case keys.StateSigning, keys.StateRetired:
		return []string{tokens, apis, people}
	case keys.StateHint:
		return []string{"ID tokens that it signed are no hints any more: signing out with one asks first."}
	case keys.StateForgotten, keys.StateRevoked:
	}
	return []string{"It verified nothing any more: no token breaks."}
}

func unknown(maxAge time.Duration) string {
	return fmt.Sprintf("clients and APIs that cached the published keys do not know: they refuse its tokens until they read the keys again, %s at most; "+
		"those that do so when they meet an unknown key lose nothing.", short(maxAge))
}

func (a *app) printRevoked(r keys.Revoked, breaks []string) error {
	out := struct {
		KID       string      `json:"kid"`
		Alg       string      `json:"alg"`
		State     string      `json:"state"`
		Successor *printedKey `json:"successor"`
		Breaks    []string    `json:"breaks"`
	}{r.KID, r.Alg, string(keys.StateRevoked), nil, breaks}
	if r.Successor.KID != "" {
		successor := printed(r.Successor)
		out.Successor = &successor
	}
	if breaks == nil {
		out.Breaks = []string{"It was revoked before."}
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is revoked: every server drops it within five seconds.\n", r.KID)
		if out.Successor != nil {
			fmt.Fprintf(w, "%s signs in its place.\n", r.Successor.KID)
		}
		fmt.Fprintln(w, strings.Join(out.Breaks, "\n"))
	})
}
