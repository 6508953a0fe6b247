// Standard output. Collected and written in large pieces; a reader that has gone away (`| head`)
// is no error.
#pragma once

#include <string>
#include <string_view>

namespace ckp::tool {

class Output {
 public:
  explicit Output(int descriptor) : descriptor_(descriptor) {}
  void text(std::string_view text);
  // Writes what was collected. False when it could not be written, for another reason than a
  // reader that closed its end; `errno` says which.
  bool flush();
  // The reader has gone away, as far as flush() has noticed.
  bool closed() const { return closed_; }

 private:
  int descriptor_;
  bool closed_ = false;
  bool failed_ = false;
  std::string pending_;
};

// A line on standard error: "ckptool: MESSAGE".
void complain(std::string_view message);

}  // namespace ckp::tool
