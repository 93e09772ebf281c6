package integration

import (
	"testing"
)

// TestOracle compares a mount with a local directory.
func TestOracle(t *testing.T) {
	for _, kind := range serverKinds {
		t.Run(string(kind), func(t *testing.T) {
			m := mount(t, mountOptions{server: kind})
			c := oracleConfig{
				Seed: seed(t), Ops: operations(10_000, 100_000),
				Model: t.TempDir(), Subject: m.dir, Server: m.served, Sync: m.sync,
				Lacks: kind.lacks(),
			}
			if err := runOracle(c); err != nil {
				t.Error(err)
			}
		})
	}
	if !asUser() {
		t.Run("ordinary user", func(t *testing.T) { rerunAs(t, nobody, "TestOracle") })
	}
}
