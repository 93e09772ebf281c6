package options

// Help describes all options that have a meaning.
const Help = `Options, given as -o name,name=value. A backslash before a comma makes it part
of a value. The last one counts where two contradict each other.

Connection
  port=N                     port of the server
  Keyword=value              any setting of ssh_config(5), in any case; the first counts
  sftp_server=NAME           SSH subsystem, or, with a slash or space, a command to run
                             on the server, such as "sudo -n /usr/lib/openssh/sftp-server"
  password_stdin             read the password from standard input
  max_conns=N                channels for data (default 3)

Mount
  ro, rw                     read only or not (default rw)
  allow_other                let all users in, with the kernel checking permissions
  allow_root                 let root in
  default_permissions        have the kernel check permissions
  nonempty                   hide what the mountpoint holds
  fsname=NAME                source to show in the table of mounts
  nosuid, suid, nodev, dev, noexec, exec, noatime, dirsync
                             as mount(8); nosuid and nodev are the default
  debug                      as --debug

Symbolic links
  symlinks=contain           links that lead out of the mount cannot be read (default)
  symlinks=raw               as they are on the server (also no_contain_symlinks)
  symlinks=follow            what they lead to is shown (also follow_symlinks)

Owners
  idmap=user                 the remote user is shown as you (default)
  idmap=none                 numbers as they are on the server
  idmap=name                 by the names of users and groups on both sides
  idmap=file                 by uidfile=FILE and gidfile=FILE, lines of name:remote-id
  uid=N, gid=N, umask=OCTAL  show these instead

Writing
  durability=close           names are on the server when a call returns, data at close
                             or fsync (default)
  durability=call, sync      everything is on the server when a call returns

Remembering
  attr_ttl=TIME              how long attributes and listings are believed, fixed
                             (also attr_timeout, dcache_timeout; dir_cache=no is 0)
  attr_ttl_min=TIME, attr_ttl_max=TIME
                             adapted to their age between these (default 3 and 60)
  open_ttl=TIME              age of attributes that an open believes (default 1)
  cache_size=BYTES           memory for content (default 64M)
  prefetch=no                do not read ahead (also no_readahead)
A TIME is in seconds (20, 1.5) or with a unit (500ms, 2m).

Other options of sshfs, libfuse, mount(8) and systemd are accepted without effect
where nothing is lost by it; an option that is not known is an error.
`
