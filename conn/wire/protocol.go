package wire

// protocolVersion is the only one spoken: that of OpenSSH.
const protocolVersion = 3

// Packet types (draft-ietf-secsh-filexfer-02, section 3).
const (
	typeInit          = 1
	typeVersion       = 2
	typeOpen          = 3
	typeClose         = 4
	typeRead          = 5
	typeWrite         = 6
	typeLstat         = 7
	typeFstat         = 8
	typeSetstat       = 9
	typeFsetstat      = 10
	typeOpendir       = 11
	typeReaddir       = 12
	typeRemove        = 13
	typeMkdir         = 14
	typeRmdir         = 15
	typeRealpath      = 16
	typeStat          = 17
	typeRename        = 18
	typeReadlink      = 19
	typeSymlink       = 20
	typeStatus        = 101
	typeHandle        = 102
	typeData          = 103
	typeName          = 104
	typeAttrs         = 105
	typeExtended      = 200
	typeExtendedReply = 201
)

// Codes of a STATUS reply (section 7). Servers may send those of later versions too.
const (
	StatusOK               = 0
	StatusEOF              = 1
	StatusNoSuchFile       = 2
	StatusPermissionDenied = 3
	StatusFailure          = 4
	StatusBadMessage       = 5
	StatusNoConnection     = 6
	StatusConnectionLost   = 7
	StatusOpUnsupported    = 8
)

// Flags of OPEN (section 6.3).
const (
	OpenRead   = 0x01
	OpenWrite  = 0x02
	OpenAppend = 0x04
	OpenCreat  = 0x08
	OpenTrunc  = 0x10
	OpenExcl   = 0x20
)

// Sizes in bytes. A packet's size does not count its own length field.
const (
	lengthSize = 4
	headerSize = lengthSize + 1 + 4 // length, type, request id

	// maxReceive bounds the packets of the server: the 256 KiB at which
	// OpenSSH's and pkg/sftp's clients stop too, and some slack.
	maxReceive = 256<<10 + 1<<10
	// draftPacket and draftPayload are what every server must take (section 3).
	draftPacket  = 34000
	draftPayload = 32768
	// packetOverhead is what a DATA or WRITE packet may need beside its
	// payload; OpenSSH keeps the same distance between its limits.
	packetOverhead = 1 << 10
	maxPacket      = 256 << 10

	maxHandle     = 256 // section 6.3
	maxChatter    = 4 << 10
	maxStatusText = 512
)
