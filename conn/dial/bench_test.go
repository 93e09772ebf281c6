package dial

import (
	"fmt"
	"io"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// cpuTime is what this process has used so far, in user and kernel mode.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDownload measures SSH and what is beneath it, without SFTP: zeros of
// a real sshd. The time of our own process is the number to compare where the
// machine is shared.
func BenchmarkDownload(b *testing.B) {
	file := filepath.Join(b.TempDir(), "id")
	srv := startSSHD(b, "", writeKey(b, file, newKey(b, "ed25519"), ""))
	for _, cipher := range []string{ssh.CipherAES128GCM, ssh.CipherAES256GCM, ssh.CipherChaCha20Poly1305, ssh.CipherAES128CTR} {
		b.Run(cipher, func(b *testing.B) {
			cfg := testConfig(b, srv.addr(), settings{"identityfile": {file}, "ciphers": {cipher}})
			s, err := mustDial(b, NewDialer(cfg, nil, nil)).openSession(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			const size = 64 << 20
			b.SetBytes(size)
			command := fmt.Sprintf("head -c %d /dev/zero", size*int64(b.N))
			b.ResetTimer()
			before := cpuTime(b)
			if _, err := s.SendRequest("exec", true, ssh.Marshal(struct{ S string }{command})); err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, s); err != nil || n != size*int64(b.N) {
				b.Fatal(n, err)
			}
			b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/float64(b.N*size>>20), "cpu-us/MiB")
		})
	}
}
