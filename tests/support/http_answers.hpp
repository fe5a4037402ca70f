// What servers may answer, good and bad, each with a name: read by the client and by Go's.
#pragma once

#include <string>
#include <vector>

namespace gort::test {

struct named_answer {
  const char* name;
  std::string in;
};

inline const std::string ok = "HTTP/1.1 200 OK\r\n";
inline const std::string chunked = ok + "Transfer-Encoding: chunked\r\n\r\n";

inline const std::vector<named_answer> answers{
    {"nothing", ""},
    {"a good one", ok + "Content-Length: 1\r\n\r\nx"},
    {"until the end", ok + "\r\nuntil the end"},
    // --- status line
    {"the end in the status line", "HTTP/1.1 200"},
    {"rubbish", "rubbish\r\n\r\n"},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx"},
    {"blank but no reason", "HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx"},
    {"blanks before the code", "HTTP/1.1   200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"blanks in the reason", "HTTP/1.1 200 O  K\r\nContent-Length: 1\r\n\r\nx"},
    {"Latin-1 in the reason", "HTTP/1.1 200 \xe9\r\nContent-Length: 1\r\n\r\nx"},
    {"tab behind the code", "HTTP/1.1 200\tOK\r\nContent-Length: 1\r\n\r\nx"},
    {"code of two digits", "HTTP/1.1 20 OK\r\n\r\n"},
    {"code of four digits", "HTTP/1.1 2000 OK\r\n\r\n"},
    {"code with a letter", "HTTP/1.1 2x0 OK\r\n\r\n"},
    {"code 099", "HTTP/1.1 099 OK\r\n\r\nx"},
    {"code 999", "HTTP/1.1 999 OK\r\n\r\nx"},
    {"version 1.0", "HTTP/1.0 200 OK\r\n\r\nx"},
    {"version 1.2", "HTTP/1.2 200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"version 2.0", "HTTP/2.0 200 OK\r\nContent-Length: 1\r\n\r\nx"},
    {"version 0.9", "HTTP/0.9 200 OK\r\n\r\nx"},
    {"no minor version", "HTTP/1 200 OK\r\n\r\nx"},
    {"version in lower case", "http/1.1 200 OK\r\n\r\nx"},
    {"another protocol", "ICY 200 OK\r\n\r\nx"},
    {"blank line before", "\r\n" + ok + "\r\nx"},
    {"line feeds only", "HTTP/1.1 200 OK\nA: b\nContent-Length: 1\n\nx"},
    // --- fields
    {"folded line", ok + "A: b\r\n c\r\nContent-Length: 1\r\n\r\nx"},
    {"folded with a tab, twice", ok + "A: b \r\n\tc\r\n  d \r\nContent-Length: 1\r\n\r\nx"},
    {"folded empty value", ok + "A:\r\n b\r\nContent-Length: 1\r\n\r\nx"},
    {"folded length", ok + "Content-Length:\r\n 1\r\n\r\nx"},
    {"folded before the first field", ok + " A: b\r\nContent-Length: 1\r\n\r\nx"},
    {"blanks around a value", ok + "A: \t b \t\r\nContent-Length: 1\r\n\r\nx"},
    {"no blank behind the colon", ok + "A:b\r\nContent-Length:1\r\n\r\nx"},
    {"empty value", ok + "A:\r\nContent-Length: 1\r\n\r\nx"},
    {"Latin-1 in a value", ok + "A: \xe9\r\nContent-Length: 1\r\n\r\nx"},
    {"control character in a value", ok + "A: b\x01\r\nContent-Length: 1\r\n\r\nx"},
    {"NUL in a value", ok + std::string("A: b\0c\r\n\r\n", 10) + "x"},
    {"return in a value", ok + "A: b\rc\r\nContent-Length: 1\r\n\r\nx"},
    {"no colon", ok + "A b\r\n\r\nx"},
    {"no name", ok + ": b\r\nContent-Length: 1\r\n\r\nx"},
    {"blank before the colon", ok + "A : b\r\nContent-Length: 1\r\n\r\nx"},
    {"blank in a name", ok + "A B: c\r\nContent-Length: 1\r\n\r\nx"},
    {"separator in a name", ok + "A(: b\r\nContent-Length: 1\r\n\r\nx"},
    {"the end in the fields", ok + "A: b\r\n"},
    // --- framing
    {"length cut short", ok + "Content-Length: 5\r\n\r\nabc"},
    {"more than the length", ok + "Content-Length: 1\r\n\r\nxyz"},
    {"negative length", ok + "Content-Length: -1\r\n\r\n"},
    {"length with a sign", ok + "Content-Length: +1\r\n\r\nx"},
    {"hexadecimal length", ok + "Content-Length: 0x1\r\n\r\nx"},
    {"empty length", ok + "Content-Length:\r\n\r\nx"},
    {"huge length", ok + "Content-Length: 99999999999999999999\r\n\r\n"},
    {"length beyond 63 bits", ok + "Content-Length: 9223372036854775808\r\n\r\n"},
    {"two equal lengths", ok + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx"},
    {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy"},
    {"a list of lengths", ok + "Content-Length: 1, 1\r\n\r\nx"},
    {"chunked", chunked + "3\r\nabc\r\n0\r\n\r\n"},
    {"chunked, capitals", ok + "TRANSFER-ENCODING: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"length and chunked",
     ok + "Content-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked and length",
     ok + "Transfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked and a bad length",
     ok + "Transfer-Encoding: chunked\r\nContent-Length: x\r\n\r\n3\r\nabc\r\n0\r\n\r\n"},
    {"chunked twice", ok + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"
                           "\r\n"},
    {"chunked, chunked", ok + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
    {"gzip, chunked", ok + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
    {"gzip", ok + "Transfer-Encoding: gzip\r\n\r\nx"},
    {"identity", ok + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx"},
    {"empty coding", ok + "Transfer-Encoding:\r\nContent-Length: 1\r\n\r\nx"},
    {"chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
    {"padded chunk size", chunked + "3  \r\nabc\r\n0 \t\r\n\r\n"},
    {"blank before a chunk size", chunked + " 3\r\nabc\r\n0\r\n\r\n"},
    {"chunk size with zeros", chunked + "0003\r\nabc\r\n000\r\n\r\n"},
    {"chunk size in capitals", chunked + "A\r\n0123456789\r\n0\r\n\r\n"},
    {"chunk size with 0x", chunked + "0x3\r\nabc\r\n0\r\n\r\n"},
    {"no chunk size", chunked + "\r\nabc\r\n0\r\n\r\n"},
    {"no number of a chunk", chunked + "zz\r\nab"},
    {"huge chunk", chunked + "fffffffffffffffff\r\n\r\n"},
    {"chunk extension", chunked + "3;a=b\r\nabc\r\n0;c\r\n\r\n"},
    {"blank before a chunk extension", chunked + "3 ; a = \"b\"\r\nabc\r\n0\r\n\r\n"},
    {"line feed in a chunk extension", chunked + "3;a\nb\r\nabc\r\n0\r\n\r\n"},
    {"line feeds in chunks", chunked + "3\nabc\n0\n\n"},
    {"chunk without its end", chunked + "3\r\nabcd\r\n0\r\n\r\n"},
    {"chunk cut short", chunked + "3\r\nab"},
    {"chunks without the last", chunked + "3\r\nabc\r\n"},
    {"last chunk without the end", chunked + "3\r\nabc\r\n0\r\n"},
    {"trailers", chunked + "3\r\nabc\r\n0\r\nT: v\r\n\r\n"},
    {"folded trailer", chunked + "3\r\nabc\r\n0\r\nT: v\r\n w\r\n\r\n"},
    {"trailer without a colon", chunked + "3\r\nabc\r\n0\r\nT\r\n\r\n"},
    {"parameters in Connection", ok + "Connection: keep-alive; timeout=5, \"x\"\r\n"
                                      "Content-Length: 1\r\n\r\nx"},
    {"rubbish in Connection", ok + "Connection: ,;=@ ,\r\nContent-Length: 1\r\n\r\nx"},
    // --- without a body
    {"204 with a length", "HTTP/1.1 204 No\r\nContent-Length: 1\r\n\r\nx"},
    {"204 chunked", "HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"},
    {"304 with a length", "HTTP/1.1 304 No\r\nContent-Length: 1\r\n\r\n"},
    {"205", "HTTP/1.1 205 Reset\r\nContent-Length: 1\r\n\r\nx"},
    {"informational before", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nA: no\r\n\r\n" +
                                 ok + "A: b\r\nContent-Length: 1\r\n\r\nx"},
    {"informational alone", "HTTP/1.1 103 Hints\r\nA: no\r\n\r\n"},
    {"informational with a length",
     "HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\n" + ok + "Content-Length: 1\r\n\r\nx"},
};

}  // namespace gort::test
