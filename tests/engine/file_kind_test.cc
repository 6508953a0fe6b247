#include <gtest/gtest.h>

#include <fstream>

#include "ckp/convert.h"
#include "ckp/error.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace ckp {
namespace {

class FileKindTest : public testing::Test {
 protected:
  FileKind kind_of(std::string_view bytes) {
    std::ofstream(dir_ / "file", std::ios::binary) << bytes;
    return detect_kind(dir_ / "file", *posix_file_system());
  }
  test::TemporaryDirectory dir_;
};

TEST_F(FileKindTest, APackByItsMagic) {
  const float data = 1;
  StateDict state;
  state.add("model/w", contiguous_view(DType::float32, {}, &data));
  save_file(dir_ / "w.ckp", state);
  EXPECT_EQ(detect_kind(dir_ / "w.ckp", *posix_file_system()), FileKind::ckp);
}

TEST_F(FileKindTest, APackThatWasCopiedAsTextIsStillAPack) {
  EXPECT_EQ(kind_of("\x89"
                    "CKP\n\x1a\n"),
            FileKind::ckp);
  EXPECT_EQ(kind_of("\tCKP\r\n\x1a\n"), FileKind::ckp);
}

TEST_F(FileKindTest, SafetensorsByLengthAndBrace) {
  EXPECT_EQ(kind_of(std::string("\x02\0\0\0\0\0\0\0{}", 10)), FileKind::safetensors);
  // A header that is too large is still a safetensors file, and reading says what is wrong.
  EXPECT_EQ(kind_of(std::string("\xff\xff\xff\xff\x01\0\0\0{\"", 10)), FileKind::safetensors);
  EXPECT_EQ(kind_of(std::string("\x02\0\0\0\0\0\0\x01{}", 10)), FileKind::unknown);
  EXPECT_EQ(kind_of(std::string("\x02\0\0\0\0\0\0\0[]", 10)), FileKind::unknown);
}

TEST_F(FileKindTest, PyTorchByZipOrPickle) {
  EXPECT_EQ(kind_of(std::string("PK\x03\x04\0\0\x08\x08\0\0", 10)), FileKind::pytorch);
  EXPECT_EQ(kind_of("\x80\x02\x8a\nl\xfc\x9c"), FileKind::pytorch);
  EXPECT_EQ(kind_of("\x80\x05"), FileKind::pytorch);
  EXPECT_EQ(kind_of("\x80\x06"), FileKind::unknown);
  EXPECT_EQ(kind_of("PK\x05\x06"), FileKind::unknown);
}

TEST_F(FileKindTest, AnythingElseIsUnknown) {
  EXPECT_EQ(kind_of(""), FileKind::unknown);
  EXPECT_EQ(kind_of("\x89"), FileKind::unknown);
  EXPECT_EQ(kind_of("hello, world"), FileKind::unknown);
  EXPECT_EQ(kind_of(std::string(100, '\0')), FileKind::unknown);
  test::expect_error(ErrorCode::not_found, "missing",
                     [&] { detect_kind(dir_ / "missing", *posix_file_system()); });
}

TEST(PyTorchAdvice, NamesTheFilesAndTheTrainingDictionaries) {
  const std::string advice = pytorch_advice("runs/best.pt");
  for (const char* part : {"runs/best.pt is a PyTorch file",
                           "torch.load(\"runs/best.pt\", map_location=\"cpu\", weights_only=True)",
                           "state.get(\"state_dict\", state.get(\"model\", state))",
                           "safetensors.torch.save_file(state, \"runs/best.safetensors\")",
                           "ckptool convert runs/best.safetensors runs/best.ckp"}) {
    EXPECT_NE(advice.find(part), std::string::npos) << part << "\nnot in:\n" << advice;
  }
}

TEST(PyTorchAdvice, QuotesStrangeNames) {
  const std::string advice = pytorch_advice("a \"b\"\\'c.pt");
  EXPECT_NE(advice.find(R"(torch.load("a \"b\"\\'c.pt")"), std::string::npos) << advice;
  EXPECT_NE(advice.find(R"(ckptool convert 'a "b"\'\''c.safetensors')"), std::string::npos)
      << advice;
}

}  // namespace
}  // namespace ckp
