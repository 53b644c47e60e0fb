//go:build soak

package soak_test

import (
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/doorstep-id/doorstep/provider/providertest"
)

// The long forms of what the suite plays in small. They take the machine for
// themselves: none runs beside another.

func TestSoakKills(t *testing.T) {
	for name, database := range map[string]func(testing.TB) string{"sqlite": providertest.SQLite, "postgres": providertest.Postgres} {
		t.Run(name, func(t *testing.T) {
			url := database(t)
			killed(t, url, 200, 8)
			if !strings.HasPrefix(url, "sqlite") {
				return
			}
			providertest.Query(t, url, "PRAGMA integrity_check", func(rows *sql.Rows) error {
				var verdict string
				if err := rows.Scan(&verdict); err != nil {
					return err
				}
				if verdict != "ok" {
					t.Error(verdict)
				}
				return nil
			})
		})
	}
}

// R17: thirty-two people write to one SQLite file while its server is killed.
func TestSoakSQLiteWriters(t *testing.T) {
	url := providertest.SQLite(t)
	killed(t, url, 100, 32)
	providertest.Query(t, url, "PRAGMA integrity_check", func(rows *sql.Rows) error {
		var verdict string
		if err := rows.Scan(&verdict); err != nil {
			return err
		}
		if verdict != "ok" {
			t.Error(verdict)
		}
		return nil
	})
}

func TestSoakRollingRestarts(t *testing.T) { rolled(t, 8, 10) }

func TestSoakDatabaseRestarts(t *testing.T) { databaseRestarts(t, 8, 10) }

func TestSoakLostCommits(t *testing.T) { commitsLost(t, 8, 2*time.Minute) }

func TestSoakSlowDatabase(t *testing.T) { slowed(t, 8, time.Minute) }

func TestSoakKeyRotations(t *testing.T) { keysRotated(t, 8, 20) }
