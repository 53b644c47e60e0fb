package main

import (
	"context"
	"fmt"
	"io"
	"net/url"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	show := &cobra.Command{
		Use:     "print",
		Short:   "Print every setting and where it came from, without secrets",
		Example: "  doorstep config print\n  doorstep config print --config /etc/doorstep.yaml -o json",
		Args:    cobra.NoArgs,
		RunE:    a.does(a.printConfig),
	}
	validate := &cobra.Command{
		Use:     "validate",
		Short:   "Check the configuration; exit 78 and name every fault if it cannot work",
		Example: "  doorstep config validate --config /etc/doorstep.yaml",
		Args:    cobra.NoArgs,
		RunE:    a.does(a.validateConfig),
	}
	addSettingFlags(show)
	addSettingFlags(validate)
	return a.group("config", "Look at the configuration", show, validate)
}

type printedSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	From  string `json:"from"`
}

// printConfig prints the settings even if some are faulty: that is when one
// wants to see them.
func (a *app) printConfig(_ context.Context, cmd *cobra.Command, _ []string) error {
	cfg, faults := a.load(cmd.Flags())
	all := make([]printedSetting, 0, len(table))
	for _, s := range table {
		v := cfg.values[s.key]
		if s.secret {
			v.text = redact(v.text)
		}
		all = append(all, printedSetting{s.key, v.text, v.from})
	}
	err := a.print(all, func(w io.Writer) {
		for _, s := range all {
			row(w, s.Key, s.Value, s.From)
		}
	})
	if err != nil {
		return err
	}
	return faults
}

func (a *app) validateConfig(_ context.Context, cmd *cobra.Command, _ []string) error {
	cfg, err := a.load(cmd.Flags())
	if _, unread := cfg.readOwnFiles(); unread != nil {
		err = &configError{append(faultsOf(err), faultsOf(unread)...)}
	}
	if err == nil && cfg.TLSCert != "" {
		_, err = cfg.tls(a.now, nil)
	}
	var found struct {
		Valid  bool          `json:"valid"`
		Faults []configFault `json:"faults"`
	}
	found.Valid, found.Faults = err == nil, faultsOf(err)
	printErr := a.print(found, func(w io.Writer) {
		if found.Valid {
			fmt.Fprintln(w, "the configuration is valid")
		}
	})
	if err != nil {
		return err
	}
	return printErr
}

// redact keeps of a secret what an operator needs to recognise it: a database
// without its password, and of everything else that it is set.
func redact(text string) string {
	const hidden = "[redacted]"
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "sqlite" && !isPostgres(text) {
		return hidden
	}
	if _, has := u.User.Password(); has {
		u.User = url.UserPassword(u.User.Username(), "redacted")
	}
	if u.RawQuery != "" {
		u.RawQuery = "redacted" // a password may stand here too
	}
	return u.String()
}
