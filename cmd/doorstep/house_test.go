package main

import (
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider"
)

// TestServerSettingsReachTheServer: a setting that nothing reads is a promise broken.
func TestServerSettingsReachTheServer(t *testing.T) {
	cmd := (&app{}).serveCommand()
	err := cmd.ParseFlags([]string{"--server-drain", "7s", "--server-notice", "3s", "--server-sweep", "5m", "--ops-listen", "127.0.0.1:9081"})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := (&app{}).load(cmd.Flags())
	if err != nil {
		t.Fatal(err)
	}
	cfg.KEK = make([]byte, 32)
	pc, err := cfg.provider(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	want := provider.ServerConfig{OpsListen: "127.0.0.1:9081", Drain: 7 * time.Second, Notice: 3 * time.Second, Sweep: 5 * time.Minute}
	if got := pc.Server; got.OpsListen != want.OpsListen || got.Drain != want.Drain || got.Notice != want.Notice || got.Sweep != want.Sweep {
		t.Errorf("%+v, want %+v", got, want)
	}
}
