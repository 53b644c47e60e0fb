package main

import (
	"context"
	"io"
	"net/url"

	"github.com/spf13/cobra"

	"github.com/doorstep-id/doorstep/provider/api"
)

type printedDevice struct {
	ID         string  `json:"id"`
	Browser    string  `json:"browser,omitempty"`
	System     string  `json:"system,omitempty"`
	Since      *string `json:"created_at"`
	Seen       *string `json:"seen_at"`
	Remembered *string `json:"remembered_until"`
}

func (a *app) listDevicesCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "devices PERSON",
		Short:   "List the browsers that a person signed in with",
		Example: "  doorstep user devices ada@example.com",
		Args:    cobra.ExactArgs(1),
		RunE: a.onPerson(func(ctx context.Context, o *operators, at string) error {
			var all api.Page[api.Device]
			if err := o.get(ctx, at+"/devices", &all); err != nil {
				return err
			}
			out := []printedDevice{}
			for _, d := range all.Items {
				out = append(out, printedDevice{d.ID, d.Browser, d.System, momentOf(&d.CreatedAt), momentOf(&d.SeenAt), momentOf(d.RememberedUntil)})
			}
			return a.print(out, func(w io.Writer) {
				row(w, "ID", "BROWSER", "SYSTEM", "SINCE", "SEEN", "REMEMBERED UNTIL")
				for _, d := range out {
					row(w, d.ID, d.Browser, d.System, show(d.Since), show(d.Seen), show(d.Remembered))
				}
			})
		}),
	}
}

func (a *app) forgetDeviceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "forget-device PERSON ID",
		Short: "Forget a browser of a person's",
		Long: `Forget a browser of a person's: it is one that they never signed in with, and spares
them from no second factor. Where they are signed in with it they stay so ('doorstep
session end' ends that).`,
		Example: "  doorstep user forget-device ada@example.com 01a202a9-03b5-7130-aa5f-c18ae97db911",
		Args:    cobra.ExactArgs(2),
		RunE: a.onAPI(func(ctx context.Context, o *operators, args []string) error {
			at, err := o.userAt(ctx, args[0])
			if err != nil {
				return err
			}
			return notFound(o.remove(ctx, at+"/devices/"+url.PathEscape(args[1])), "browser of theirs", args[1])
		}),
	}
}
