package dial

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
)

// bothWays are a resolver that asks ssh and one that reads the files itself.
func bothWays(t testing.TB) (asks, reads resolver) {
	t.Helper()
	program, err := exec.LookPath("ssh")
	if err != nil {
		t.Fatal(err)
	}
	return resolver{local: thisMachine(), ssh: program}, resolver{local: thisMachine()}
}

// Both ways must give the same Config for the same files.
func TestEvaluatorAgreesWithSSH(t *testing.T) {
	t.Parallel()
	asks, reads := bothWays(t)
	user := thisMachine().user
	for _, tt := range []struct {
		name, config string
		target       Target
	}{
		{"empty", "", Target{Host: "h"}},
		{"first value wins", "Host a*\n Port 7\nHost *\n Port 8\n User x\n", Target{Host: "ab"}},
		{"equals and quotes", "HostName=\"real.example\"\nUser = joe\nPort\t=\t99\nIdentityFile \"~/a b\"\n", Target{Host: "h"}},
		{"comments", "# x\nUser joe # not joe\n\n  #y\nPort 3\n", Target{Host: "h"}},
		{"negated host", "Host * !bad.*\n Port 5\n", Target{Host: "bad.x"}},
		{"several patterns", "Host x y? z\n Port 5\n", Target{Host: "y1"}},
		{"upper case host", "Host ABC\n Port 5\nHost abc\n Port 6\n", Target{Host: "ABC"}},
		{"target beats file", "User joe\nPort 5\n", Target{Host: "h", User: "me", Port: 6}},
		{"options beat all", "User joe\nPort 5\n", Target{Host: "h", User: "me", Port: 6, Options: []string{"User=opt", "port 7", "Port=8"}}},
		{"identity files", "IdentityFile ~/x\nHost h\nIdentityFile %d/.ssh/%r_%h_key\nIdentityFile /k\nIdentityFile ~/x\n", Target{Host: "h", User: "me"}},
		{"no identity", "IdentityFile none\nIdentitiesOnly yes\nIdentityAgent none\n", Target{Host: "h"}},
		{"certificates", "CertificateFile ~/c-cert.pub\nCertificateFile /d\n", Target{Host: "h"}},
		{"agent", "IdentityAgent ~/sock/%h\n", Target{Host: "h"}},
		{"known hosts", "UserKnownHostsFile ~/k1 /k2 \nGlobalKnownHostsFile /g\nHashKnownHosts yes\nHostKeyAlias Al\n", Target{Host: "h"}},
		{"known hosts token", "UserKnownHostsFile ~/k/%h_%n\nHostName r.x\n", Target{Host: "h"}},
		{"known hosts none", "UserKnownHostsFile none\nGlobalKnownHostsFile none\n", Target{Host: "h"}},
		{"host name token", "HostName %h.example.org\nPort 1\n", Target{Host: "h"}},
		{"strict", "StrictHostKeyChecking accept-new\n", Target{Host: "h"}},
		{"strict yes", "StrictHostKeyChecking yes\n", Target{Host: "h"}},
		{"strict off", "StrictHostKeyChecking off\n", Target{Host: "h"}},
		{"times", "ConnectTimeout 1m30\nServerAliveInterval 2m\nServerAliveCountMax 0\nConnectionAttempts 4\n", Target{Host: "h"}},
		{"network", "AddressFamily inet6\nBindAddress 127.0.0.1\n", Target{Host: "h"}},
		{"authentication", "PreferredAuthentications password,publickey,gssapi-with-mic\nPubkeyAuthentication no\nNumberOfPasswordPrompts 1\nBatchMode yes\nServerAliveInterval 60\n", Target{Host: "h"}},
		{"old names", "ChallengeResponseAuthentication no\nPubkeyAcceptedKeyTypes ssh-ed25519\n", Target{Host: "h"}},
		{"ciphers", "Ciphers aes256-ctr,aes128-ctr\nMACs hmac-sha2-256\n", Target{Host: "h"}},
		{"ciphers plus", "Ciphers +aes128-cbc\n", Target{Host: "h"}},
		{"ciphers first", "Ciphers ^aes256-gcm@openssh.com\nKexAlgorithms ^ecdh-sha2-nistp256\n", Target{Host: "h"}},
		{"host key algorithms", "HostKeyAlgorithms +ssh-rsa\nPubkeyAcceptedAlgorithms +ssh-rsa\n", Target{Host: "h"}},
		{"proxy command", "ProxyCommand nc -X 5 %h %p # %r\nPort 44\n", Target{Host: "h", User: "u"}},
		{"proxy none", "ProxyCommand none\nProxyJump none\n", Target{Host: "h"}},
		{"jumps", "Host h\n ProxyJump a@j1:23,j2\nHost j1\n Port 24\n User zz\n HostName real1\n", Target{Host: "h"}},
		{"jump of a jump", "Host h\n ProxyJump j1\nHost j1\n ProxyJump j2\nHost j2\n Port 24\n", Target{Host: "h"}},
		{"jump URI", "Host h\n ProxyJump ssh://u@j.example:77/\n", Target{Host: "h"}},
		{"command before jump", "Host h\n ProxyCommand foo\nHost *\n ProxyJump j\n", Target{Host: "h"}},
		{"match all", "Match all\n Port 9\n", Target{Host: "h"}},
		{"match host", "HostName r.example.org\nMatch host *.example.org,other\n Port 9\n", Target{Host: "h"}},
		{"match not host", "Match !host h,x\n Port 9\nMatch host !h,*\n Port 10\n", Target{Host: "h"}},
		{"match original host", "HostName r\nMatch originalhost h host r\n Port 9\n", Target{Host: "h"}},
		{"match user", "Match user joe\n Port 9\nMatch user me\n Port 10\n", Target{Host: "h", User: "me"}},
		{"match user by default", "Match user " + user + "\n Port 9\n", Target{Host: "h"}},
		{"match local user", "Match localuser nobody-here\n Port 9\nMatch localuser " + user + " host h\n Port 10\n", Target{Host: "h"}},
		{"match exec", "Match exec \"test %h = r\"\n Port 9\nMatch exec false\n User x\n", Target{Host: "r"}},
		{"match not exec", "Match host h !exec \"exit 3\"\n Port 9\n", Target{Host: "h"}},
		{"match final", "Match final host r\n User x\nHost h\n HostName r\n", Target{Host: "h"}},
		{"match canonical", "Match canonical\n User x\n", Target{Host: "h"}},
		{"include", "Include DIR/inc*\nPort 1\n", Target{Host: "h"}},
		{"include in block", "Host other\n Include DIR/inc*\nHost *\n Port 1\n", Target{Host: "h"}},
		{"include then block", "Host h\n Include DIR/inc_host\n Port 4\n", Target{Host: "h"}},
		{"address", "Host ::1\n Port 3\n", Target{Host: "::1"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "config")
			writeFile(t, filepath.Join(dir, "inc1"), "User inc\nHost h\n Port 11\n")
			writeFile(t, filepath.Join(dir, "inc_host"), "Host nothere\n User n\nHost h\n User yes\n")
			writeFile(t, file, strings.ReplaceAll(tt.config, "DIR", dir))
			tt.target.ConfigFile = file
			want, err := asks.resolve(t.Context(), tt.target, 0)
			if err != nil {
				t.Fatal(err)
			}
			got, err := reads.resolve(t.Context(), tt.target, 0)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(ignoreOurs(want), ignoreOurs(got)); diff != "" {
				t.Errorf("ssh -G (-) and our evaluator (+):\n%s", diff)
			}
		})
	}
}

// ignoreOurs leaves out differences that do no harm: the names of default keys
// of kinds that exist only in agents or not at all.
func ignoreOurs(c *Config) Config {
	d := *c
	d.IdentityFiles = slices.DeleteFunc(slices.Clone(c.IdentityFiles), func(f string) bool {
		return slices.Contains([]string{"id_ecdsa_sk", "id_ed25519_sk", "id_xmss", "id_dsa"}, filepath.Base(f))
	})
	if d.Via != nil {
		via := ignoreOurs(d.Via)
		d.Via = &via
	}
	return d
}

func TestConfigValues(t *testing.T) {
	_, reads := bothWays(t)
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, "HostName real\nUser joe\nPort 2200\nIdentityFile ~/.ssh/%r\nProxyCommand nc %h %p\nServerAliveInterval 15\n"+
		"Compression yes\nStrictHostKeyChecking no\nCiphers chacha20-poly1305@openssh.com,unknown\n")
	got, err := reads.resolve(t.Context(), Target{Host: "h", ConfigFile: file, SFTPServer: "x"}, 0)
	if err != nil {
		t.Fatal(err)
	}
	home := thisMachine().home
	want := &Config{
		Alias: "h", HostName: "real", Port: 2200, User: "joe", IdentityFiles: []string{home + "/.ssh/joe"},
		IdentityAgent:         os.Getenv("SSH_AUTH_SOCK"),
		UserKnownHostsFiles:   []string{home + "/.ssh/known_hosts", home + "/.ssh/known_hosts2"},
		GlobalKnownHostsFiles: []string{"/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2"},
		StrictHostKeyChecking: HostKeyNo, Ciphers: []string{ssh.CipherChaCha20Poly1305}, ConnectTimeout: 15 * time.Second,
		ConnectionAttempts: 1, ServerAliveInterval: 15 * time.Second, ServerAliveCountMax: 3, AddressFamily: "any",
		PreferredAuthentications: []string{"publickey", "keyboard-interactive", "password"},
		PubkeyAuthentication:     true, PasswordAuthentication: true, KbdInteractiveAuthentication: true,
		NumberOfPasswordPrompts: 3, ProxyCommand: "nc real 2200", SFTPServer: "x",
		Notes: []string{"ssh configuration: compression: compression is not implemented"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Config (-want +got):\n%s", diff)
	}
}

func TestConfigErrors(t *testing.T) {
	t.Parallel()
	asks, reads := bothWays(t)
	dir := t.TempDir()
	for _, tt := range []struct{ name, config, part string }{
		{"port", "Port 70000\n", "ort"},
		{"time", "ConnectTimeout soon\n", "ime"},
		{"quote", "User \"x\n", "config"},
		{"match", "Match what x\n Port 1\n", "config"},
		{"injection by host name", "HostName a;b\nProxyCommand nc %h\n", "host"},
		{"user with option", "User -lx\n", "user"},
		{"no cipher", "Ciphers none-of-these\n", "ipher"},
		{"jump loop", "Host *\n ProxyJump h2\n", "jump"},
		{"jump with option", "ProxyJump -oX\n", "-oX"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			file := filepath.Join(dir, "config")
			writeFile(t, file, tt.config)
			for _, r := range []resolver{asks, reads} {
				_, err := r.resolve(t.Context(), Target{Host: "h", ConfigFile: file}, 0)
				if err == nil {
					t.Fatalf("with ssh %q: no error", r.ssh)
				}
				var c *ConfigError
				var h *TargetError
				if !errors.As(err, &c) && !errors.As(err, &h) {
					t.Errorf("with ssh %q: %T %v", r.ssh, err, err)
				}
				if !strings.Contains(err.Error(), tt.part) || strings.ContainsAny(err.Error(), "\r\n") {
					t.Errorf("with ssh %q: %q does not name %q in one line", r.ssh, err, tt.part)
				}
			}
		})
	}
	for _, r := range []resolver{asks, reads} {
		if _, err := r.resolve(t.Context(), Target{Host: "h", ConfigFile: filepath.Join(dir, "missing")}, 0); err == nil {
			t.Errorf("with ssh %q: a missing file is no error", r.ssh)
		}
		if _, err := r.resolve(t.Context(), Target{Host: "-h"}, 0); err == nil {
			t.Errorf("with ssh %q: host -h is no error", r.ssh)
		}
	}
}

func TestIncludeOfItself(t *testing.T) {
	_, reads := bothWays(t)
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, "Include "+file+"\n")
	_, err := reads.resolve(t.Context(), Target{Host: "h", ConfigFile: file}, 0)
	var c *ConfigError
	if !errors.As(err, &c) {
		t.Errorf("error %v", err)
	}
}

func TestSSHWithoutDump(t *testing.T) {
	program := filepath.Join(t.TempDir(), "ssh")
	writeFile(t, program, "#!/bin/sh\necho 'ssh: unknown option -- G' >&2\nexit 255\n")
	if err := os.Chmod(program, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg, err := resolver{local: thisMachine(), ssh: program}.resolve(t.Context(), Target{Host: "h", ConfigFile: "none", Port: 5}, 0)
	if err != nil || cfg.Port != 5 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestResolveEndsWithContext(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	writeFile(t, file, "Match exec \"sleep 60\"\n Port 1\n")
	asks, reads := bothWays(t)
	for _, r := range []resolver{asks, reads} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		if _, err := r.resolve(ctx, Target{Host: "h", ConfigFile: file}, 0); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with ssh %q: %v", r.ssh, err)
		}
	}
}

func TestResolve(t *testing.T) {
	cfg, err := Resolve(t.Context(), Target{Host: "h", ConfigFile: "none", User: "u", Options: []string{"Port=77"}})
	if err != nil || cfg.User != "u" || cfg.Port != 77 || cfg.Ciphers != nil || cfg.KexAlgorithms != nil || cfg.HostKeyAlgorithms != nil {
		t.Errorf("%+v, %v", cfg, err)
	}
}

func TestRelativeAndChoose(t *testing.T) {
	kind := algorithmKind{keyword: "ciphers", preferred: []string{"a", "b", "c"}, known: []string{"a", "b", "c", "d", "e"}}
	for _, tt := range []struct {
		setting string
		want    []string
	}{
		{"", nil},
		{"c,b", []string{"c", "b"}},
		{"c,x,b,c", []string{"c", "b"}},
		{"+d,x,a", []string{"a", "b", "c", "d"}},
		{"^c,e", []string{"c", "e", "a", "b"}},
		{"-b,x", []string{"a", "c"}},
		{"-[ab],?", nil},
		{"x,y", nil},
	} {
		got, err := kind.choose(tt.setting)
		if (err != nil) != (tt.want == nil && tt.setting != "") || !slices.Equal(got, tt.want) {
			t.Errorf("choose(%q) = %q, %v; want %q", tt.setting, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ list, want string }{
		{"p,q,r", ""}, {"p,q,r,x", "+x"}, {"x,p,q,r", "^x"}, {"r,p,q", "^r"}, {"r,x,p,q", "^r,x"}, {"p,r", "p,r"}, {"q", "q"}, {"", ""},
	} {
		if got := relative(tt.list, "p,q,r"); got != tt.want {
			t.Errorf("relative(%q) = %q, want %q", tt.list, got, tt.want)
		}
	}
}

func TestTokensCannotInject(t *testing.T) {
	l := thisMachine()
	for value, ok := range map[string]bool{"host": true, "10.0.0.1": true, "::1": true, "a;b": false, "$(x)": false, "-x": false, "a b": false, `a\b`: false, "a'b": false} {
		tok := l.tokens(remote{original: value, host: value, port: "22", user: "me"})
		if err := tok.forShell("nc '%h' %p %%"); (err == nil) != ok {
			t.Errorf("%%h = %q: %v", value, err)
		}
	}
	if err := l.tokens(remote{original: "a;b", host: "a;b", port: "22"}).forShell("echo %%h %p"); err != nil {
		t.Errorf("a token that is not used: %v", err)
	}
}

func FuzzEvaluate(f *testing.F) {
	for _, s := range []string{
		"Host *\nPort 1", "Match host a,b user c\nUser x", "Match final\nHostName %h.x", "User \"a b\" c", "=", "a=\"", "Match",
		"IdentityFile ${HOME}/%d%%", "HostName %", "ConnectTimeout 1h1h", "Ciphers -*", "UserKnownHostsFile ~/a b", "ProxyJump a,b:2", "Match !all",
	} {
		f.Add(s)
	}
	l := local{home: "/home/x", user: "x", uid: "1", hostname: "here.example", getenv: func(string) (string, bool) { return "v", true }}
	f.Fuzz(func(t *testing.T, text string) {
		low := strings.ToLower(text)
		if strings.Contains(low, "exec") || strings.Contains(low, "include") {
			return // it could run commands, or read other files
		}
		file := filepath.Join(t.TempDir(), "config")
		writeFile(t, file, text)
		s, err := evaluate(t.Context(), Target{Host: "h", ConfigFile: file}, l)
		if err != nil {
			return
		}
		cfg, err := newConfig(Target{Host: "h"}, s, l)
		if err != nil {
			return
		}
		if badHost(cfg.HostName) != "" || badUser(cfg.User) != "" || cfg.Port < 1 || cfg.Port > 65535 || cfg.ConnectTimeout <= 0 {
			t.Fatalf("%q gave %+v", text, cfg)
		}
	})
}

func FuzzParseDump(f *testing.F) {
	f.Add("hostname h\nport 22\nuserknownhostsfile a b\nidentityfile x\nidentityfile y\n")
	f.Add("userknownhostsfile  ") // blanks are no value
	f.Fuzz(func(t *testing.T, text string) {
		for k, v := range parseDump(text) {
			if len(v) == 0 {
				t.Fatalf("no value for %q", k)
			}
		}
	})
}
