package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) doctorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is wrong, and say what to do about it",
		Long: `Look for what is wrong, and say what to do about it: configuration, database, clock,
keys, certificates, disk, the issuer as others see it, proxies, mails, and the server on
this machine. It writes nothing. Give it the servers' own settings.

One line a check: ok, warning or fault. The exit code is 1 if there is a fault.`,
		Example: "  doorstep doctor\n  doorstep doctor --config /etc/doorstep.yaml -o json",
		Args:    cobra.NoArgs,
		RunE:    a.does(a.doctor),
	}
	addSettingFlags(cmd)
	return cmd
}

// How a check ended.
const (
	statusOK      = "ok"
	statusWarning = "warning" // it works, and somebody should see to it
	statusFault   = "fault"   // it does not work, or is not safe
)

// finding is what one check found.
type finding struct {
	Check  string `json:"check"`
	Status string `json:"status"`
	Says   string `json:"says"`
	Do     string `json:"do,omitempty"` // what mends it
}

// doctor is one look at a house.
type doctor struct {
	cfg      *config
	own      ownFiles
	now      func() time.Time
	findings []finding
}

func (d *doctor) ok(check, format string, args ...any) {
	d.findings = append(d.findings, finding{Check: check, Status: statusOK, Says: fmt.Sprintf(format, args...)})
}

func (d *doctor) warning(check, do, format string, args ...any) {
	d.findings = append(d.findings, finding{check, statusWarning, fmt.Sprintf(format, args...), do})
}

func (d *doctor) fault(check, do, format string, args ...any) {
	d.findings = append(d.findings, finding{check, statusFault, fmt.Sprintf(format, args...), do})
}

// checkTime bounds each question that goes over a network.
const checkTime = 5 * time.Second

func (a *app) doctor(ctx context.Context, cmd *cobra.Command, _ []string) error {
	cfg, err := a.load(cmd.Flags())
	d := &doctor{cfg: cfg, now: a.now}
	if err == nil {
		d.own, err = cfg.readOwnFiles()
	}
	for _, f := range faultsOf(err) {
		d.fault("configuration", "", "%s", f)
	}
	if err == nil { // nothing can be asked by settings that are wrong
		d.ok("configuration", "every setting is valid; the issuer is %s", cfg.Issuer)
		d.database(ctx)
		d.kekFiles()
		d.disk()
		d.certificate()
		d.places()
		d.lists()
		d.issuer(ctx)
		d.smtp(ctx)
		d.firstFactors()
		d.server(ctx)
	}
	faults := 0
	for _, f := range d.findings {
		if f.Status == statusFault {
			faults++
		}
	}
	if err := a.printFindings(d.findings, faults); err != nil {
		return err
	}
	switch faults {
	case 0:
		return nil
	case 1:
		return fmt.Errorf("1 fault")
	}
	return fmt.Errorf("%d faults", faults)
}

func (a *app) printFindings(findings []finding, faults int) error {
	out := struct {
		Healthy bool      `json:"healthy"`
		Checks  []finding `json:"checks"`
	}{faults == 0, findings}
	return a.print(out, func(w io.Writer) {
		for _, f := range findings {
			says := f.Says
			if f.Do != "" {
				says += ": " + f.Do
			}
			row(w, f.Status, f.Check, strings.Join(strings.Fields(says), " ")) // some drivers write several lines
		}
	})
}
