package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
	"github.com/doorstep-id/doorstep/provider/keys"
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
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			return a.revokeKey(ctx, o, args[0], yes)
		}),
	}
	a.completes(cmd, keyIDs)
	cmd.Flags().BoolVar(&yes, "yes", false, "do it")
	return cmd
}

// revokeKey revokes a key, or says without yes what that would break.
func (a *app) revokeKey(ctx context.Context, o *operators, kid string, yes bool) error {
	path := "/keys/" + url.PathEscape(kid) + "/revoke"
	if !yes {
		path += "?dry_run=true"
	}
	var revoked api.RevokedKey
	err := o.post(ctx, path, nil, &revoked)
	for try := 0; isConflict(err) && try < 3; try++ {
		err = o.post(ctx, path, nil, &revoked)
	}
	switch {
	case isConflict(err):
		return fmt.Errorf("the key %s is not revoked: each time somebody else was changing keys of its algorithm at the same moment; say it again, once nobody rotates or revokes them", kid)
	case err != nil:
		return notFound(err, "key", kid)
	case revoked.Key.State == string(keys.StateRevoked):
		return a.printRevoked(&revoked, nil)
	case !yes:
		return &usageError{fmt.Sprintf("to revoke the key %s cannot be undone:\n  %s\nAdd --yes to do it.", kid, strings.Join(breaksOf(&revoked), "\n  "))}
	}
	return a.printRevoked(&revoked, breaksOf(&revoked))
}

// breaksOf says in words what ends with a key.
func breaksOf(r *api.RevokedKey) []string {
	switch keys.State(r.Key.State) {
	case keys.StateNext:
		return []string{"It has signed nothing: no token breaks, and its predecessor signs on."}
	case keys.StateSigning, keys.StateRetired:
		breaks := []string{
			"Access tokens that it signed are refused here (userinfo, introspection) at once, ID tokens as hints too; who has one asks for another with the refresh token.",
			"An API that verifies tokens by itself takes them until its copy of the published keys lapses.",
			"Refresh tokens, codes and sessions live on: nobody has to sign in again.",
		}
		if r.Unknown > 0 {
			breaks = append(breaks, fmt.Sprintf("Another key signs from now on, which clients and APIs that cached the published keys may not know: they refuse its tokens "+
				"until they read the keys again, %s at most; those that do so when they meet an unknown key lose nothing.", short(time.Duration(r.Unknown)*time.Second)))
		}
		return breaks
	case keys.StateHint:
		return []string{"ID tokens that it signed are no hints any more: signing out with one asks first."}
	case keys.StateForgotten, keys.StateRevoked:
	}
	return []string{"It verified nothing any more: no token breaks."}
}

// wholeSeconds rounds up.
func wholeSeconds(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}

func (a *app) printRevoked(r *api.RevokedKey, breaks []string) error {
	out := struct {
		KID       string      `json:"kid"`
		Alg       string      `json:"alg"`
		State     string      `json:"state"`
		Successor *printedKey `json:"successor"`
		Breaks    []string    `json:"breaks"`
	}{r.Key.KID, r.Key.Algorithm, string(keys.StateRevoked), nil, breaks}
	if r.Successor != nil {
		successor := printed(r.Successor)
		out.Successor = &successor
	}
	if breaks == nil {
		out.Breaks = []string{"It was revoked before."}
	}
	return a.print(out, func(w io.Writer) {
		fmt.Fprintf(w, "%s is revoked: every server drops it within five seconds.\n", r.Key.KID)
		if out.Successor != nil {
			fmt.Fprintf(w, "%s signs in its place.\n", r.Successor.KID)
		}
		fmt.Fprintln(w, strings.Join(out.Breaks, "\n"))
	})
}
